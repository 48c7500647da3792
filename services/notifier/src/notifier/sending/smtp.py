"""An SMTP session, in the steps that sending a mail at most once needs.

1. `open`: connect, encrypt if the server offers it, and log in.
2. `offer`: MAIL, RCPT and DATA, up to the server's 354. Until then the server has accepted
   nothing: after a failure or a kill the mail can be offered again.
3. `send_text`: the text. From its first byte on, only the server's reply says whether the mail was
   accepted: without it (a kill, a lost connection) the mail is in doubt.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from notifier.sending.attempts import Reply, ReplyKind
from notifier.sending.mime import on_the_wire
from notifier.sending.server_alarms import ServerProblem
from ringfence_contracts.errors import RingfenceError

TlsMode = Literal["none", "offered", "starttls", "tls"]
_LOGIN_WANTED = frozenset({530, 534, 535, 538})
_CLOSING = 421
_GO_AHEAD = 354
_IDLE_AT_MOST_S = 20.0
_OFFER_AT_MOST_S = 20.0
_REASON_AT_MOST = 500
_MEANS: dict[int, ReplyKind] = {2: "accepted", 4: "deferred", 5: "refused"}
_LOST = (OSError, TimeoutError)
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class ServerUnusable(RingfenceError):
    """The server accepts no mail at all now; the cause is not the mail that was offered."""

    def __init__(self, problem: ServerProblem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


class _Ended(Exception):
    """The server ended the session before the text was sent."""


@dataclass(frozen=True)
class SmtpServer:
    """Address, encryption, login and timeouts (in seconds) of the server.

    `tls`: `offered` uses STARTTLS if the server offers it, `starttls` requires it, `tls` encrypts
    from the first byte, `none` does not encrypt.
    """

    host: str
    port: int
    tls: TlsMode = "offered"
    ca_file: Path | None = None
    user: str = ""
    password: str = ""
    command_s: float = 10.0
    data_s: float = 60.0

    def __repr__(self) -> str:
        return f"SmtpServer({self.name}, {self.tls})"

    @property
    def name(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"


class SmtpSession:
    """One connection to the server, kept open between mails; one mail at a time."""

    def __init__(self, server: SmtpServer, sender_address: str) -> None:
        self._server = server
        self._sender_address = sender_address
        self._connection = _connection_to(server)
        self._used_at_s = 0.0
        self._is_fresh = True

    async def open(self) -> None:
        """Connect and log in, unless a recently used connection is open. Raises ServerUnusable."""
        if self._connection.is_connected and _now_s() - self._used_at_s < _IDLE_AT_MOST_S:
            return
        await self.close()
        self._connection = _connection_to(self._server)
        try:
            await self._connection.connect()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            self.abandon()
            raise ServerUnusable("unreachable", _reason(error)) from error
        await self._log_in()
        self._is_fresh = True
        self._used_at_s = _now_s()

    async def _log_in(self) -> None:
        if not self._server.user:
            return
        if not self._is_private():
            self.abandon()
            raise ServerUnusable(
                "login",
                "the server offers no encryption, and the password is not sent in clear beyond this"
                " machine: set RINGFENCE_NOTIFIER_SMTP_TLS to starttls or tls, or use a server"
                " that offers STARTTLS",
            )
        try:
            await self._connection.login(self._server.user, self._server.password)
        except (SMTPException, *_LOST, ValueError) as error:
            self.abandon()
            problem: ServerProblem = "unreachable" if _is_temporary(error) else "login"
            raise ServerUnusable(problem, _reason(error)) from error

    def _is_private(self) -> bool:
        """Whether the connection is encrypted or stays on this machine."""
        if self._connection.get_transport_info("sslcontext") is not None:
            return True
        peer = self._connection.get_transport_info("peername")
        return bool(peer) and is_loopback(str(peer[0]))

    async def offer(self, recipients: Sequence[str]) -> Reply:
        """MAIL, RCPT and DATA: `accepted` if the server waits for the text of the mail.

        The first recipient must be accepted; others that are refused get no copy. A connection
        that ended since the last mail is replaced once. Takes at most 20 s, because the caller
        holds a row lock. Raises ServerUnusable if the problem is the server's and not this mail's.
        """
        try:
            async with asyncio.timeout(_OFFER_AT_MOST_S):
                try:
                    return await self._envelope(recipients)
                except (_Ended, *_LOST):
                    if self._is_fresh:
                        raise
                self.abandon()
                await self.open()
                return await self._envelope(recipients)
        except _Ended as error:
            self.abandon()
            raise ServerUnusable("unreachable", str(error)) from error
        except _LOST as error:
            self.abandon()
            return Reply("deferred", _reason(error))

    async def _envelope(self, recipients: Sequence[str]) -> Reply:
        (first, needs_utf8), *_ = addresses = [on_the_wire(to) for to in recipients]
        utf8 = any(needed for _, needed in addresses)
        if utf8 and not self._connection.supports_extension("smtputf8"):
            if needs_utf8:
                return Reply("refused", "the server does not take addresses beyond ASCII")
            addresses, utf8 = [pair for pair in addresses if not pair[1]], False
        if refused := await self._mail(utf8=utf8):
            return refused
        for address, _ in addresses:
            refused = await self._rcpt(address, utf8=utf8)
            if refused and address == first:
                await self._reset()
                return refused
        return await self._data()

    async def _mail(self, *, utf8: bool) -> Reply | None:
        options, encoding = (["SMTPUTF8"], "utf-8") if utf8 else ([], "ascii")
        try:
            await self._connection.mail(self._sender_address, options=options, encoding=encoding)
        except SMTPResponseException as error:
            if error.code in _LOGIN_WANTED:
                self.abandon()
                raise ServerUnusable("login", _reason(error)) from error
            if error.code // 100 != 5:
                raise _Ended(_reason(error)) from error
            if utf8:  # the server refuses SMTPUTF8, which this mail needs, and not the sender
                await self._reset()
                return Reply("refused", _reason(error))
            self.abandon()
            raise ServerUnusable("sender", _reason(error)) from error
        return None

    async def _rcpt(self, address: str, *, utf8: bool) -> Reply | None:
        try:
            await self._connection.rcpt(address, encoding="utf-8" if utf8 else "ascii")
        except SMTPResponseException as error:
            return _before_text(error.code, _reason(error))
        return None

    async def _data(self) -> Reply:
        answer = await self._connection.execute_command(b"DATA")
        reason = printable(f"{answer.code} {answer.message}")
        if answer.code == _GO_AHEAD:
            return Reply("accepted", "")
        refused = _before_text(answer.code, reason) or Reply("deferred", f"at DATA: {reason}")
        await self._reset()
        return refused

    async def _reset(self) -> None:
        try:
            await self._connection.rset()
        except (SMTPException, *_LOST):
            self.abandon()

    async def send_text(self, content: bytes) -> Reply:
        """Send the text after an accepted offer. `unknown` if no readable reply arrived."""
        self._is_fresh = False
        protocol = self._connection.protocol
        if protocol is None or not protocol.is_connected:
            return Reply("deferred", "the connection ended before the mail was sent")
        try:
            protocol.write(_LEADING_DOT.sub(b"..", content) + b".\r\n")
            answer = await protocol.read_response(timeout=self._server.data_s)
        except SMTPResponseException as error:
            self.abandon()
            return Reply("unknown", _reason(error))
        except _LOST as error:
            self.abandon()
            return Reply("unknown", f"no answer to the mail: {_reason(error)}")
        self._used_at_s = _now_s()
        return self._answered(answer.code, printable(f"{answer.code} {answer.message}"))

    def _answered(self, code: int, reason: str) -> Reply:
        if code == _CLOSING:
            self.abandon()
        kind = _MEANS.get(code // 100, "unknown")
        if kind == "unknown":
            self.abandon()
        return Reply(kind, reason)

    def abandon(self) -> None:
        """Close the connection without QUIT: the server then drops a mail that was only offered."""
        self._connection.close()

    async def close(self) -> None:
        """End the session with QUIT, if it is open."""
        if not self._connection.is_connected:
            return
        try:
            await self._connection.quit(timeout=1.0)
        except (SMTPException, *_LOST):
            self.abandon()


def _connection_to(server: SmtpServer) -> aiosmtplib.SMTP:
    start_tls = {"offered": None, "starttls": True}.get(server.tls, False)
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls == "tls",
        start_tls=start_tls,
        # A connection on the loopback interface cannot be intercepted, and no certificate names it.
        validate_certs=not (server.tls == "offered" and is_loopback(server.host)),
        cert_bundle=str(server.ca_file) if server.ca_file else None,
        # The host name as it is configured: a look-up of the full name can wait for a name server.
        local_hostname=socket.gethostname(),
        timeout=server.command_s,
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _before_text(code: int, reason: str) -> Reply | None:
    """The reply to RCPT or DATA as a failure of this mail; None if it is positive."""
    if code == _CLOSING:
        raise _Ended(reason)
    if code // 100 == 2:  # includes 252, "cannot verify, but will attempt delivery"
        return None
    return Reply("refused" if code // 100 == 5 else "deferred", reason)


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, SMTPResponseException):
        return error.code // 100 == 4
    return isinstance(error, _LOST)


def _reason(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return printable(f"{error.code} {error.message}")
    return printable(f"{type(error).__name__}: {error}")


def printable(text: str) -> str:
    """A server's text without control characters, cut to the length that rows and events allow."""
    return "".join(c if c.isprintable() else " " for c in text)[:_REASON_AT_MOST]


def _now_s() -> float:
    return asyncio.get_running_loop().time()
