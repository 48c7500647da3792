"""A TCP proxy in front of the mail server, which misbehaves in a chosen way."""

import asyncio
from contextlib import suppress
from typing import Literal

from ringfence_local.embedded.ports import free_port

MailFault = Literal["none", "hang", "close", "refuse", "half", "no-answer", "slow"]
FAULTS: tuple[MailFault, ...] = ("hang", "close", "refuse", "half", "no-answer", "slow")
"""hang: no greeting. close: the connection is closed at once. refuse: 421. half: closed in the
middle of a mail. no-answer: the mail arrives, and its answer does not. slow: each answer takes 2 s.
"""

_END_OF_MAIL = b"\r\n.\r\n"
_HANG_S = 600
_SLOW_S = 2.0


class MailProxy:
    """Listens on `port`; `target` is the port of the mail server, once it is known."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self.fault: MailFault = "none"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "MailProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._pass(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.fault
        if fault == "hang":
            await asyncio.sleep(_HANG_S)
        if fault == "refuse":
            writer.write(b"421 too busy\r\n")
            await writer.drain()
        if fault in ("hang", "close", "refuse"):
            return
        mail_in, mail_out = await asyncio.open_connection("127.0.0.1", self.target)
        answers = asyncio.create_task(_answers(mail_in, writer, fault))
        try:
            await _mails(reader, mail_out, answers, fault)
        finally:
            answers.cancel()
            mail_out.close()


async def _answers(
    mail_in: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: MailFault
) -> None:
    while data := await mail_in.read(65_536):
        if fault == "slow":
            await asyncio.sleep(_SLOW_S)
        writer.write(data)
        await writer.drain()


async def _mails(
    reader: asyncio.StreamReader,
    mail_out: asyncio.StreamWriter,
    answers: "asyncio.Task[None]",
    fault: MailFault,
) -> None:
    last = b""
    while data := await reader.read(65_536):
        last = (last + data)[-len(_END_OF_MAIL) :]
        if fault == "half" and len(data) > 300:
            mail_out.write(data[: len(data) // 2])
            await mail_out.drain()
            return
        if fault == "no-answer" and last == _END_OF_MAIL:
            answers.cancel()
        mail_out.write(data)
        await mail_out.drain()
        if fault == "no-answer" and last == _END_OF_MAIL:
            await asyncio.sleep(0.5)  # the mail server reads it before the connection ends
            return
