"""An SMTP server with scripted replies for each step, which can also close the connection."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

HANG_UP = "hang up"
SILENT = "say nothing"
_USUAL = {"GREETING": "220 ready", "DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 welcome"}


@dataclass
class ScriptedSmtp:
    """The server. `answers` are the first replies to a step; after them, the usual one is sent.

    Steps: GREETING, AUTH, MAIL, RCPT, DATA, TEXT (the reply to the mail), AFTER (sent without a
    command, after a mail). A mail is accepted if its text is complete and the reply is 2xx, HANG_UP
    or SILENT. `at_step` is called with each step, before the reply.
    """

    answers: dict[str, list[str]] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    at_step: Callable[[str], None] = lambda _: None
    port: int = 0
    taken: list[bytes] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    logins: list[str] = field(default_factory=list)
    """How each password was sent: `in clear` or `encrypted`."""

    def messages(self) -> list[EmailMessage]:
        """The accepted mails."""
        parsed = [message_from_bytes(content, policy=policy.default) for content in self.taken]
        return [mail for mail in parsed if isinstance(mail, EmailMessage)]

    def ids(self) -> list[str]:
        """Their Message-IDs."""
        return [str(mail["Message-ID"]) for mail in self.messages()]

    def _answer(self, step: str) -> str:
        self.steps[step] += 1
        self.at_step(step)
        script = self.answers.get(step, [])
        return script.pop(0) if script else _USUAL.get(step, "" if step == "AFTER" else "250 OK")

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        try:
            if await self._say(writer, self._answer("GREETING")):
                while await self._step(reader, writer):
                    pass
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _step(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        verb = line.split()[0].decode().upper()
        encrypted = writer.get_extra_info("sslcontext") is not None
        if verb == "EHLO":
            offers = [o for o in self.offers if o != "STARTTLS" or not encrypted]
            return await self._say(
                writer, "\r\n".join(f"250-{o}" for o in ("localhost", *offers)) + "\r\n250 HELP"
            )
        if verb == "STARTTLS":
            await self._say(writer, "220 go ahead")
            assert self.tls is not None
            await writer.start_tls(self.tls)
            return True
        if verb == "AUTH":
            self.logins.append("encrypted" if encrypted else "in clear")
        answer = self._answer(verb)
        if verb == "DATA" and answer.startswith("354"):
            return await self._say(writer, answer) and await self._text(reader, writer)
        return await self._say(writer, answer) and verb != "QUIT"

    async def _text(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = []
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        answer = self._answer("TEXT")
        if answer in (HANG_UP, SILENT) or answer.startswith("2"):
            self.taken.append(b"".join(lines))
        return await self._say(writer, answer) and await self._say(writer, self._answer("AFTER"))

    async def _say(self, writer: asyncio.StreamWriter, answer: str) -> bool:
        """Send a reply; returns whether the session goes on."""
        if answer == HANG_UP:
            writer.transport.abort()
            return False
        if answer not in (SILENT, ""):
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
        return not answer.startswith("421")


@asynccontextmanager
async def running(server: ScriptedSmtp) -> AsyncIterator[ScriptedSmtp]:
    """The server, listening for the duration of the context."""
    listening = await asyncio.start_server(server.converse, server.host, server.port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


async def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for `host`, and the file with the certificate that clients trust."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", f"/CN={host}",
        "-addext", f"subjectAltName=IP:{host}",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert
