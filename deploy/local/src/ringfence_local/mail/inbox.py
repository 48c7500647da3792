"""An SMTP server that saves each mail as a file, which `ringfence inbox` shows.

It replies 250 after the file is synced and renamed, so an accepted mail is never lost. It can
refuse mails, to test how a sender handles that: a recipient `refuse-550@…` or `later-451@…` (any
code of three digits) gets that code at RCPT. Run as a process:
`python -m ringfence_local.mail.inbox --folder FOLDER --port PORT`.
"""

import itertools
import os
import re
import signal
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Event
from typing import Literal

import click
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ringfence_local.embedded.ports import free_port

_ON_PURPOSE = re.compile(r"^(?:refuse|later)-([45]\d\d)@")
_SIZE_LIMIT = 10 * 1024 * 1024
SmtpStage = Literal["MAIL", "RCPT", "DATA"]


class Inbox:
    """The server, in a thread of its own, and the mails in its folder."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._folder = folder
        self._handler = _MailHandler(folder)
        self.host = host
        self.port = port or free_port(host=host)
        self._controller: Controller | None = None

    def start(self) -> None:
        """Accept mail; after `stop`, on the same port again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._controller = Controller(
            self._handler,
            hostname=self.host,
            port=self.port,
            enable_SMTPUTF8=True,
            data_size_limit=_SIZE_LIMIT,
            ready_timeout=10,
        )
        self._controller.start()

    def stop(self) -> None:
        """Stop the server: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def refuse(self, code: int, *, at: SmtpStage = "RCPT", times: int | None = None) -> None:
        """Reply with `code` (400 to 599) at that stage, `times` times or until `accept`."""
        self._handler.refusals[at] = _Refusal(code, times)

    def accept(self) -> None:
        """End all refusals, except those that recipients request by their name."""
        self._handler.refusals.clear()

    def messages(self) -> list[EmailMessage]:
        """The accepted mails, the oldest first."""
        return read_mails(self._folder)


@dataclass(frozen=True)
class MailFolder:
    """The mails of an inbox that another process runs, and its SMTP address."""

    folder: Path
    port: int
    host: str = "127.0.0.1"

    def messages(self) -> list[EmailMessage]:
        """The accepted mails, the oldest first."""
        return read_mails(self.folder)


def read_mails(folder: Path) -> list[EmailMessage]:
    """The mails in `folder`, the oldest first."""
    parsed = [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in sorted(folder.glob("*.eml"))
    ]
    return [mail for mail in parsed if isinstance(mail, EmailMessage)]


class _Refusal:
    def __init__(self, code: int, times: int | None) -> None:
        assert 400 <= code <= 599, code
        self._answer = f"{code} refused on purpose"
        self._left = times

    def next(self) -> str | None:
        if self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        return self._answer


class _MailHandler:
    """The handler that aiosmtpd calls at each stage of a session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.refusals: dict[SmtpStage, _Refusal] = {}

    def _refused(self, stage: SmtpStage) -> str | None:
        refusal = self.refusals.get(stage)
        return refusal.next() if refusal else None

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refused := self._refused("MAIL"):
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if named := _ON_PURPOSE.match(address):
            return f"{named[1]} this recipient refuses on purpose"
        if refused := self._refused("RCPT"):
            return refused
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if refused := self._refused("DATA"):
            return refused
        assert isinstance(envelope.content, bytes)
        self._save(envelope.mail_from or "", envelope.rcpt_tos, envelope.content)
        return "250 kept"

    def _save(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Write the mail atomically, under a name that sorts by arrival."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers):06d}"
        envelope = [f"Return-Path: <{sender}>", *(f"Delivered-To: {to}" for to in recipients)]
        partial = self._folder / f".{name}.part"
        with partial.open("wb") as file:
            file.write("".join(f"{line}\r\n" for line in envelope).encode() + content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._folder / f"{name}.eml")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="for the mails")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
def main(folder: Path, host: str, port: int) -> None:
    """Take mail until SIGTERM."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    inbox = Inbox(folder, host=host, port=port)
    inbox.start()
    click.echo(f"taking mail on {host}:{port}, kept in {folder}")
    stop.wait()
    inbox.stop()


if __name__ == "__main__":
    main()
