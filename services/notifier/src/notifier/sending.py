"""Sends what is due: one mail at a time, each at most once.

A mail is offered (MAIL, RCPT) while its row is locked and nothing is written yet; the mark
`sending` is committed when only the mail itself remains to be said; then it is said. Whoever dies
before the mark has sent nothing, and whoever dies after it leaves the mark, and a lease that ends
with the session.
"""

import asyncio
from datetime import timedelta

import structlog

from notifier.announce import announced
from notifier.attempts import Fate, Persistence, Reply, decide_fate
from notifier.breaker import Breaker
from notifier.journal import report
from notifier.metrics import MAIL_SECONDS, SMTP_UNREACHABLE
from notifier.smtp import Mail, Sender, SmtpServer, SmtpSession, Unreachable, compose
from notifier.store import Lease, Queued, Store
from ringfence.clock import Clock
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress

_REST_S = 1.0
log = structlog.get_logger()


class SendingLoop:
    """One connection to the SMTP server and what goes over it."""

    def __init__(
        self,
        store: Store,
        *,
        server: SmtpServer,
        sender: Sender,
        breaker: Breaker,
        persistence: Persistence,
        clock: Clock,
        wake: asyncio.Event,
        poll_s: float,
        progress: Progress,
    ) -> None:
        self._store = store
        self._session = SmtpSession(server, sender)
        self._sender = sender
        self._breaker = breaker
        self._persistence = persistence
        self._clock = clock
        self._wake = wake
        self._poll_s = poll_s
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; a mail in hand is finished. A lost database is waited for."""
        try:
            while not stop.is_set():
                try:
                    async with self._store.lease() as lease:
                        await self._send_all(lease, stop)
                except UNWELL as error:
                    log.warning("sending waits for the database", reason=repr(error))
                    self._progress.turned()
                    await wait_or_stop(stop, _REST_S)
        finally:
            await self._session.close()

    async def _send_all(self, lease: Lease, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._wake.clear()
            found = await self.send_one(lease, stop)
            self._progress.turned(read=int(found))
            if not found:
                await self._rest(stop)

    async def _rest(self, stop: asyncio.Event) -> None:
        """Until there may be something to do: a new mail, a poll that is due, or the end."""
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._wake)]
        try:
            await asyncio.wait(waits, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def send_one(self, lease: Lease, stop: asyncio.Event) -> bool:
        """Take the mail that is due longest as far as it goes; False if there was none to take."""
        now = self._clock.now()
        if not await self._store.anything_due(now) or not self._breaker.may_try(now):
            return False
        try:
            await self._session.open()
            offered = await self._offer(lease)
            self._reached()
        except Unreachable as error:
            await self._unreachable(error)
            return False
        if offered is None:
            return False
        message, content = offered
        if content is not None:
            reply = await self._session.hand_over(content)
            await self._write_down(message, reply, lease, stop)
        return True

    async def _offer(self, lease: Lease) -> tuple[Queued, bytes | None] | None:
        """The next mail, marked as being sent, and its content; no content if it was not taken."""
        for pointless in await self._store.supersede(lease.connection):
            report(pointless, "superseded")
        try:
            async with lease.connection.transaction():
                message = await self._store.next_due(lease.connection, self._clock.now())
                if message is None:
                    return None
                content = compose(_mail(message), self._sender)
                reply = await self._session.offer(message.recipient)
                if reply.verdict == "accepted":
                    await self._store.mark_sending(
                        lease.connection, message.message_id, lease.number
                    )
                    return message, content
                await self._put_back(lease, message, reply)
                return message, None
        except UNWELL:
            # The server has an offer that was not claimed: it must not meet the next one.
            await self._session.close()
            raise

    async def _put_back(self, lease: Lease, message: Queued, reply: Reply) -> None:
        fate, now = self._fate(message, reply), self._clock.now()
        told = announced(message, fate, now)
        await self._store.settle(
            lease.connection, message.message_id, fate, told, now=now, lease=None
        )
        report(message, fate.state, fate)

    async def _write_down(
        self, message: Queued, reply: Reply, lease: Lease, stop: asyncio.Event
    ) -> None:
        """Keep what the server answered. While the database is away we alone know it, and wait."""
        while True:
            try:
                return await self._conclude(message, reply, lease)
            except UNWELL as error:
                log.warning("a mail's fate waits for the database", reason=repr(error))
                self._progress.turned()
                if await wait_or_stop(stop, _REST_S):
                    raise

    async def _conclude(self, message: Queued, reply: Reply, lease: Lease) -> None:
        fate, now = self._fate(message, reply), self._clock.now()
        told = announced(message, fate, now)
        async with self._store.transaction() as connection:
            kept = await self._store.settle(
                connection, message.message_id, fate, told, now=now, lease=lease.number
            )
        if not kept:
            log.warning(
                "a mail was taken over by another sender",
                message_id=str(message.message_id),
                correlation_id=message.correlation_id,
            )
            return
        report(message, fate.state, fate)
        if fate.state == "sent":
            MAIL_SECONDS.observe((now - message.created_at).total_seconds())

    def _fate(self, message: Queued, reply: Reply) -> Fate:
        return decide_fate(
            reply,
            attempts=message.attempts + 1,
            created_at=message.created_at,
            now=self._clock.now(),
            persistence=self._persistence,
        )

    def _reached(self) -> None:
        if self._breaker.is_open:
            log.info("the SMTP server is reached again")
        self._breaker.worked()
        SMTP_UNREACHABLE.set(0)

    async def _unreachable(self, error: Unreachable) -> None:
        """Leave all mails as they are, but for those that have waited for too long."""
        now = self._clock.now()
        self._breaker.failed(now)
        SMTP_UNREACHABLE.set(1)
        log.warning(
            "the SMTP server can not be reached",
            reason=str(error),
            next_try_at=self._breaker.next_probe_at.isoformat(),
        )
        reason = f"the SMTP server could not be reached: {error}"
        given_up_before = now - timedelta(seconds=self._persistence.give_up_after_s)
        async with self._store.transaction() as connection:
            for message in await self._store.too_old(connection, given_up_before):
                fate = Fate("failed", message.attempts, now, reason)
                told = announced(message, fate, now)
                await self._store.settle(
                    connection, message.message_id, fate, told, now=now, lease=None
                )
                report(message, fate.state, fate)


def _mail(message: Queued) -> Mail:
    return Mail(
        message_id=message.message_id,
        recipient=message.recipient,
        subject=message.subject,
        text=message.text,
        html=message.html,
        written_at=message.created_at,
    )
