"""The SMTP server: one conversation, in the steps that a mail sent at most once needs.

`offer` says whom the mail is for and can be repeated freely; `hand_over` says the mail itself,
and after it nothing but the server's answer tells whether it was taken.
"""

import asyncio
import socket
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as PLAIN_HEADERS
from email.policy import SMTPUTF8 as UTF8_HEADERS
from pathlib import Path
from typing import Literal
from uuid import UUID

import aiosmtplib
from aiosmtplib import SMTPException, SMTPNotSupported, SMTPResponseException

from notifier.attempts import Reply, Verdict
from ringfence.errors import RingfenceError

_LOGIN_WANTED = frozenset({530, 534, 535, 538})
_IDLE_AT_MOST_S = 20.0
_OFFER_AT_MOST_S = 20.0
_REASON_AT_MOST = 500
_LOST = (OSError, TimeoutError)


class Unreachable(RingfenceError):
    """No conversation with the server is possible; no message is to blame."""


@dataclass(frozen=True)
class SmtpServer:
    """Where the server is and how to speak with it. Times in seconds."""

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"] = "none"
    ca_file: Path | None = None
    user: str = ""
    password: str = ""
    command_s: float = 10.0
    data_s: float = 60.0

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port}, {self.tls})"


@dataclass(frozen=True)
class Sender:
    """Whom the mails are from."""

    address: str
    name: str = ""


@dataclass(frozen=True)
class Mail:
    """What goes into one mail."""

    message_id: UUID
    recipient: str
    subject: str
    text: str
    html: str
    written_at: datetime


def compose(mail: Mail, sender: Sender) -> bytes:
    """The mail as it travels: a plain and an HTML part, and a Message-ID made from its own id."""
    recipient, needs_utf8 = _on_the_wire(mail.recipient)
    message = EmailMessage(UTF8_HEADERS if needs_utf8 else PLAIN_HEADERS)
    domain = sender.address.rpartition("@")[2]
    message["From"] = Address(sender.name, addr_spec=sender.address)
    message["To"] = Address("", *recipient.rsplit("@", 1))
    message["Subject"] = mail.subject
    message["Date"] = mail.written_at
    message["Message-ID"] = f"<{mail.message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


class SmtpSession:
    """One connection to the server, kept open between mails; one mail at a time."""

    def __init__(self, server: SmtpServer, sender: Sender) -> None:
        self._server = server
        self._sender = sender
        self._connection = _connection_to(server)
        self._used_at_s = 0.0
        self._is_fresh = True

    async def open(self) -> None:
        """Have a connection that is greeted and logged in. Raises Unreachable."""
        if self._connection.is_connected and _now_s() - self._used_at_s < _IDLE_AT_MOST_S:
            return
        await self.close()
        self._connection = _connection_to(self._server)
        try:
            await self._connection.connect()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            self._connection.close()
            raise Unreachable(_reason(error)) from error
        self._is_fresh = True
        self._used_at_s = _now_s()

    async def offer(self, recipient: str) -> Reply:
        """MAIL and RCPT: whether the server would take a mail for `recipient`.

        Where a connection turns out to have ended since the last mail, once more on a new one.
        Bounded, for the caller holds a row meanwhile. Raises Unreachable when the server wants a
        login that it was not given.
        """
        try:
            async with asyncio.timeout(_OFFER_AT_MOST_S):
                try:
                    return await self._envelope(recipient)
                except _LOST:
                    if self._is_fresh:
                        raise
                await self.open()
                return await self._envelope(recipient)
        except _LOST as error:
            self._connection.close()
            return Reply("deferred", _reason(error))

    async def _envelope(self, recipient: str) -> Reply:
        try:
            address, needs_utf8 = _on_the_wire(recipient)
            options, encoding = (["SMTPUTF8"], "utf-8") if needs_utf8 else ([], "ascii")
            if needs_utf8 and not self._connection.supports_extension("smtputf8"):
                raise SMTPNotSupported("the server does not take addresses beyond ASCII")
            await self._connection.mail(self._sender.address, options=options, encoding=encoding)
            await self._connection.rcpt(address, encoding=encoding)
        except SMTPResponseException as error:
            if error.code in _LOGIN_WANTED:
                self._connection.close()
                raise Unreachable(_reason(error)) from error
            await self._forget_envelope()
            return _as_reply(error, otherwise="deferred")
        except SMTPNotSupported as error:
            return Reply("refused", _reason(error))
        return Reply("accepted", "")

    async def _forget_envelope(self) -> None:
        try:
            await self._connection.rset()
        except (SMTPException, *_LOST):
            self._connection.close()

    async def hand_over(self, content: bytes) -> Reply:
        """DATA: the mail itself. `unknown` where no answer to it came that can be read."""
        self._is_fresh = False
        try:
            answer = await self._connection.data(content, timeout=self._server.data_s)
        except SMTPResponseException as error:
            reply = _as_reply(error, otherwise="unknown")
            if reply.verdict == "unknown":
                self._connection.close()
            return reply
        except _LOST as error:
            self._connection.close()
            return Reply("unknown", f"no answer to the mail: {_reason(error)}")
        self._used_at_s = _now_s()
        return Reply("accepted", printable(answer.message))

    async def close(self) -> None:
        """Say good-bye, if there is anyone to say it to."""
        if not self._connection.is_connected:
            return
        try:
            await self._connection.quit(timeout=1.0)
        except (SMTPException, *_LOST):
            self._connection.close()


def _connection_to(server: SmtpServer) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls == "tls",
        start_tls=server.tls == "starttls",
        cert_bundle=str(server.ca_file) if server.ca_file else None,
        username=server.user or None,
        password=server.password or None,
        # The host's own name as it has it: looking up its domain may wait for a name server.
        local_hostname=socket.gethostname(),
        timeout=server.command_s,
    )


def _on_the_wire(recipient: str) -> tuple[str, bool]:
    """The address as headers and commands carry it, and whether that needs SMTPUTF8."""
    local, _, domain = recipient.rpartition("@")
    return f"{local}@{domain.encode('idna').decode('ascii')}", not local.isascii()


def _as_reply(error: SMTPResponseException, otherwise: Verdict) -> Reply:
    verdicts: dict[int, Verdict] = {4: "deferred", 5: "refused"}
    return Reply(verdicts.get(error.code // 100, otherwise), _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return printable(f"{error.code} {error.message}")
    return printable(f"{type(error).__name__}: {error}")


def printable(text: str) -> str:
    """A server's words as they can stand in a row, an event and a log line."""
    return "".join(c if c.isprintable() else " " for c in text)[:_REASON_AT_MOST]


def _now_s() -> float:
    return asyncio.get_running_loop().time()
