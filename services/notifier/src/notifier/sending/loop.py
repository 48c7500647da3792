"""Sends what is due: one mail at a time, each at most once.

1. The most urgent mail is locked, and decided again: address, opt-out and money are those of now.
2. It is offered (MAIL, RCPT, DATA), up to the server's consent. A kill here has sent nothing.
3. The mark `sending` is committed. A kill here leaves the mark, and a lease that ends with the
   session: the mail is in doubt.
4. The text is sent, and the server's answer is written down with its event.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import structlog

from notifier.form.mail import MailFacts, RenderedMail
from notifier.metrics import MAIL_SECONDS, SMTP_UNREACHABLE
from notifier.owed import store as owed_store
from notifier.owed.decision import DecisionFacts, DecisionRules, Send, decide_mail, funds_of
from notifier.sending.attempts import DeliveryOutcome, Reply, RetryPolicy, decide_outcome
from notifier.sending.breaker import SmtpBreaker
from notifier.sending.events import events_of
from notifier.sending.in_flight import MailsInFlight
from notifier.sending.mime import Mail, Sender, compose
from notifier.sending.reporting import report, report_decision
from notifier.sending.server_alarms import end_server_alarms, raise_server_alarm
from notifier.sending.smtp import ServerUnusable, SmtpServer, SmtpSession, printable
from notifier.store import Lease, MailStore, OwedMail
from ringfence.clock import Clock
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Connection
from ringfence.transient import TRANSIENT_ERRORS

Render = Callable[[MailFacts], RenderedMail]
"""Puts a mail to a client into words. Pure."""

_REST_S = 1.0
log = structlog.get_logger()


class SendingDependencies(NamedTuple):
    """What all connections of a process share."""

    store: MailStore
    render: Render
    rules: DecisionRules
    server: SmtpServer
    sender: Sender
    breaker: SmtpBreaker
    policy: RetryPolicy
    in_flight: MailsInFlight
    clock: Clock
    wake: asyncio.Event


class _Offered(NamedTuple):
    """A mail that the server consented to, and its bytes; None: it was decided otherwise."""

    owed: OwedMail
    content: bytes | None


class SendingLoop:
    """One connection to the SMTP server and what goes over it."""

    def __init__(self, shared: SendingDependencies, *, poll_s: float, progress: Progress) -> None:
        self._shared = shared
        self._store = shared.store
        self._session = SmtpSession(shared.server, shared.sender.address)
        self._poll_s = poll_s
        self._progress = progress
        self._alarms_may_be_open = True

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; a mail in hand is finished. A lost database is waited for."""
        try:
            while not stop.is_set():
                try:
                    async with self._store.lease() as lease:
                        await self._send_all(lease, stop)
                except TRANSIENT_ERRORS as error:
                    log.warning("sending waits for the database", reason=repr(error))
                    self._progress.turned()
                    await wait_or_stop(stop, _REST_S)
        finally:
            await self._session.close()

    async def _send_all(self, lease: Lease, stop: asyncio.Event) -> None:
        while not stop.is_set() and not self._shared.in_flight.closing:
            self._shared.wake.clear()
            found = await self._send_one_to_the_end(lease, stop)
            self._progress.turned(read=int(found))
            if not found:
                await self._rest(stop)

    async def _send_one_to_the_end(self, lease: Lease, stop: asyncio.Event) -> bool:
        """Send one mail; whoever cancels this waits until it is out of hand."""
        task = asyncio.ensure_future(self.send_one(lease, stop))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _rest(self, stop: asyncio.Event) -> None:
        """Until there may be something to do: a new mail, a poll that is due, or the end."""
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._shared.wake)]
        try:
            await asyncio.wait(waits, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def send_one(self, lease: Lease, stop: asyncio.Event) -> bool:
        """Take the most urgent mail as far as it goes; False if there was none to take."""
        now = self._shared.clock.now()
        if not await self._store.anything_due(now) or not self._shared.breaker.may_try(now):
            return False
        async with self._shared.in_flight.one():
            try:
                await self._session.open()
                offered = await self._offer(lease)
            except ServerUnusable as error:
                await self._unusable(error)
                return False
            await self._usable()
            if offered is None:
                return False
            if offered.content is not None:
                reply = await self._session.send_text(offered.content)
                await self._save_reply(offered.owed, reply, lease, stop)
            return True

    async def _offer(self, lease: Lease) -> _Offered | None:
        """The next mail, marked as being sent, and its bytes; no bytes if it is not sent now."""
        connection = lease.connection
        try:
            async with connection.transaction():
                owed = await self._store.next_due(connection, self._shared.clock.now())
                if owed is None:
                    return None
                mail = await self._prepare(connection, owed)
                if mail is None:
                    return _Offered(owed, None)
                owed = replace(owed, recipient=mail.recipient)
                content = compose(mail, self._shared.sender)
                reply = await self._session.offer(mail.recipients)
                if reply.kind != "accepted":
                    await self._save_not_sent(connection, owed, reply)
                    return _Offered(owed, None)
                await self._store.mark_sending(
                    connection, owed.message_id, lease.number, self._shared.clock.now()
                )
                return _Offered(owed, content)
        except BaseException:
            # The server may have an offer that was not claimed: it must not meet the next one.
            self._session.abandon()
            raise

    async def _prepare(self, connection: Connection, owed: OwedMail) -> Mail | None:
        """The mail as it is true now, kept in its row; None if it is not to be sent now."""
        now = self._shared.clock.now()
        facts = await owed_store.gather(connection, owed.notice, owed.created_at)
        outcome = decide_mail(owed.notice, facts, now, self._shared.rules)
        if not isinstance(outcome, Send):
            await self._save_decision(connection, owed)
            return None
        if facts.account is None:
            content, recipient = RenderedMail(owed.subject, owed.text, owed.html), owed.recipient
        else:
            recipient = facts.account.email.strip()
            try:
                content = self._shared.render(_mail_facts(owed, facts, outcome))
            except Exception as error:
                # A template, or a client's name, must not stop the mails of all others.
                await self._save_not_sent(connection, owed, Reply("refused", _render_error(error)))
                return None
        await self._store.save_content(connection, owed.message_id, recipient, content)
        return Mail(owed.message_id, recipient, content, now)

    async def _save_decision(self, connection: Connection, owed: OwedMail) -> None:
        """Write down that it waits, or is dropped. Asked again while no event is handled.

        An event that was handled meanwhile had to leave this row alone, for it is locked here.
        """
        now, notice = self._shared.clock.now(), owed.notice
        if notice.account_id is not None:
            await self._store.lock_account(connection, notice.account_id)
        facts = await owed_store.gather(connection, notice, owed.created_at)
        outcome = decide_mail(notice, facts, now, self._shared.rules)
        await owed_store.apply(connection, owed, outcome, now)
        report_decision(notice, outcome)

    async def _save_not_sent(self, connection: Connection, owed: OwedMail, reply: Reply) -> None:
        outcome, now = self._outcome(owed, reply), self._shared.clock.now()
        events = events_of(owed, outcome, now)
        await self._store.save_outcome(
            connection, owed.message_id, outcome, events, now=now, lease=None
        )
        report(owed, outcome)

    async def _save_reply(
        self, owed: OwedMail, reply: Reply, lease: Lease, stop: asyncio.Event
    ) -> None:
        """Keep what the server answered. While the database is away we alone know it, and wait."""
        while True:
            try:
                return await self._save_outcome(owed, reply, lease)
            except TRANSIENT_ERRORS as error:
                log.warning("a mail's outcome waits for the database", reason=repr(error))
                self._progress.turned()
                if await wait_or_stop(stop, _REST_S):
                    raise

    async def _save_outcome(self, owed: OwedMail, reply: Reply, lease: Lease) -> None:
        outcome, now = self._outcome(owed, reply), self._shared.clock.now()
        async with self._store.transaction() as connection:
            kept = await self._store.save_outcome(
                connection,
                owed.message_id,
                outcome,
                events_of(owed, outcome, now),
                now=now,
                lease=lease.number,
            )
        if not kept:
            log.warning(
                "a mail was taken over by another sender",
                message_id=str(owed.message_id),
                correlation_id=owed.notice.correlation_id,
            )
            return
        report(owed, outcome)
        if outcome.state == "sent":
            MAIL_SECONDS.observe((now - owed.due_at).total_seconds())

    def _outcome(self, owed: OwedMail, reply: Reply) -> DeliveryOutcome:
        return decide_outcome(
            reply,
            attempts=owed.attempts + 1,
            due_at=owed.due_at,
            now=self._shared.clock.now(),
            policy=self._shared.policy,
        )

    async def _usable(self) -> None:
        """End what was raised: the server takes mail."""
        was_open = self._shared.breaker.is_open
        if was_open:
            log.info("the SMTP server takes mail again")
        self._shared.breaker.worked()
        SMTP_UNREACHABLE.set(0)
        if was_open or self._alarms_may_be_open:
            async with self._store.transaction() as connection:
                now = self._shared.clock.now()
                await end_server_alarms(connection, server=self._shared.server.name, now=now)
            self._alarms_may_be_open = False

    async def _unusable(self, error: ServerUnusable) -> None:
        """Leave all mails as they are, but for those that have waited for too long."""
        now, breaker, server = self._shared.clock.now(), self._shared.breaker, self._shared.server
        breaker.failed(now)
        SMTP_UNREACHABLE.set(1)
        log.warning(
            "the SMTP server takes no mail",
            trouble=error.problem,
            reason=str(error),
            next_try_at=breaker.next_probe_at.isoformat(),
        )
        self._alarms_may_be_open = True
        given_up_before = now - timedelta(seconds=self._shared.policy.give_up_after_s)
        async with self._store.transaction() as connection:
            await raise_server_alarm(
                connection,
                error.problem,
                server=server.name,
                reason=str(error),
                failures=breaker.failures,
                now=now,
            )
            for owed in await self._store.too_old(connection, given_up_before):
                reason = f"the SMTP server took no mail: {error}"
                outcome = DeliveryOutcome("failed", owed.attempts, now, reason)
                events = events_of(owed, outcome, now)
                await self._store.save_outcome(
                    connection, owed.message_id, outcome, events, now=now, lease=None
                )
                report(owed, outcome)


def _mail_facts(owed: OwedMail, facts: DecisionFacts, outcome: Send) -> MailFacts:
    assert facts.account is not None, "a mail to a client has one"
    return MailFacts(
        template=owed.notice.template,
        account=facts.account,
        funds=funds_of(owed.notice, facts),
        occurred_at=owed.notice.occurred_at,
        service_is_off=outcome.service_is_off,
    )


def _render_error(error: Exception) -> str:
    return printable(f"the mail could not be put into words: {type(error).__name__}: {error}")
