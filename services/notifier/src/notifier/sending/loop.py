"""Sends the mails that are due, one at a time on each connection, each at most once.

1. The most urgent mail is locked and decided again with the current address, opt-out and funds.
   A kill here changes nothing: the lock ends with the database session.
2. It is offered to the server (MAIL, RCPT, DATA), up to the reply 354. A kill here has sent
   nothing: the mail is still `waiting`.
3. The state `sending` is committed, with the lease of this sender. A kill from here on leaves the
   mail in that state. The lease ends with the database session, so that RecoveryLoop finds the
   mail and marks it as in doubt.
4. The text is sent. After a kill here the server may have accepted the mail: it is in doubt.
5. The server's reply is saved together with its event, in one transaction.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
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
"""Renders a mail to a client. Pure."""

_REST_S = 1.0
log = structlog.get_logger()


class SendingDependencies(NamedTuple):
    """What all senders of a process share."""

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
    """A mail and its bytes, if the server waits for them; None if it is not sent now."""

    owed: OwedMail
    content: bytes | None
    mail: Mail | None = None


class SendingLoop:
    """Sends mails over one connection to the SMTP server."""

    def __init__(self, shared: SendingDependencies, *, poll_s: float, progress: Progress) -> None:
        self._shared = shared
        self._store = shared.store
        self._session = SmtpSession(shared.server, shared.sender.address)
        self._poll_s = poll_s
        self._progress = progress
        self._alarms_may_be_open = True

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, finish the mail in flight; retry while the database is away."""
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
        """Send one mail; a cancellation takes effect after its outcome is saved."""
        task = asyncio.ensure_future(self.send_one(lease, stop))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait until a mail may be due: a new mail, the next poll, or `stop`."""
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._shared.wake)]
        try:
            await asyncio.wait(waits, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def send_one(self, lease: Lease, stop: asyncio.Event) -> bool:
        """Process the most urgent mail; False if none is due or the server is unusable."""
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
                if offered.mail is not None:  # a server may quote what it dislikes
                    text = offered.mail.content.without_secret(reply.text)
                    reply = replace(reply, text=text)
                await self._save_reply(offered.owed, reply, lease, stop)
            return True

    async def _offer(self, lease: Lease) -> _Offered | None:
        """The next mail, in the state `sending`, and its bytes; no bytes if it is not sent now.

        None if no mail is due.
        """
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
                return _Offered(owed, content, mail)
        except BaseException:
            # The server may still wait for this mail's text: a new session must offer the next one.
            self._session.abandon()
            raise

    async def _prepare(self, connection: Connection, owed: OwedMail) -> Mail | None:
        """Decide and render the mail, and save its content; None if it is not sent now."""
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
                content = self._shared.render(_mail_facts(owed, facts, outcome, now))
            except Exception as error:
                # A template or a client's data that cannot be rendered must not block other mails.
                await self._save_not_sent(connection, owed, Reply("refused", _render_error(error)))
                return None
        await self._store.save_content(connection, owed.message_id, recipient, content)
        return Mail(owed.message_id, recipient, content, now)

    async def _save_decision(self, connection: Connection, owed: OwedMail) -> None:
        """Save that the mail waits or is dropped, decided again under the account's lock.

        Without that lock an event about the account could be processed at the same time. It skips
        this row, which is locked here, so that its effect on this mail would be lost.
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
        """Save the server's reply; retry while the database is away, because only we know it."""
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
        """Close the breaker and end the alarms: the server accepts mail."""
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
        """Open the breaker, raise the alarm, and fail the mails that waited for too long."""
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


def _mail_facts(owed: OwedMail, facts: DecisionFacts, outcome: Send, now: datetime) -> MailFacts:
    assert facts.account is not None, "a mail to a client has one"
    return MailFacts(
        template=owed.notice.template,
        account=facts.account,
        funds=funds_of(owed.notice, facts),
        occurred_at=owed.notice.occurred_at,
        service_is_off=outcome.service_is_off,
        now=now,
    )


def _render_error(error: Exception) -> str:
    return printable(f"the mail could not be put into words: {type(error).__name__}: {error}")
