"""Consumes events: each queues a mail, or changes the state by which queued mails are decided."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from notifier.alarms.intake import AlarmIntake
from notifier.form.layout import Layout
from notifier.form.mail import MailFacts, RenderedMail
from notifier.merge_fields import ClientAccount
from notifier.owed import store as owed_store
from notifier.owed import store_clients
from notifier.owed.copies import MailCopies
from notifier.owed.decision import (
    IN_SHADOW,
    DecisionFacts,
    DecisionRules,
    Drop,
    MailDecision,
    Send,
    decide_mail,
    funds_of,
)
from notifier.owed.notice import (
    MailNotice,
    low_alert,
    restored_mail,
    would_be_zero_mail,
    zero_mail,
    zero_mail_to_come,
)
from notifier.owed.resend import Resender
from notifier.sending.reporting import report_decision
from notifier.store import MailStore, OwedMail
from notifier.words.catalogue import VOIP_RESTORED
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.errors import Conflict, Reject
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.balance import BalanceLow, BalanceRestored, BalanceZero
from ringfence_contracts.events.service import ServiceRestored, ServiceSuspended
from ringfence_contracts.records import Outcome as BatchOutcome
from ringfence_contracts.records import Received, Rejected, parse
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ACCOUNTS_ALARM,
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    INGEST_ALARM,
    NOTIFIER_ALARM,
    OPERATOR_REQUESTED,
    RATING_ALARM,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SUSPENDER_ALARM,
    WATCH_ALARM,
)

READS = (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    BALANCE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_RESTORED,
    RATING_ALARM,
    SUSPENDER_ALARM,
    NOTIFIER_ALARM,
    WATCH_ALARM,
    ACCOUNTS_ALARM,
    INGEST_ALARM,
    OPERATOR_REQUESTED,
)

_GRACE = timedelta(minutes=1)
"""How long an alert from before the client went live waits for a later one that replaces it."""


class MailIntake:
    """The record handler: queues mails, decides waiting ones again, and wakes the senders."""

    def __init__(
        self,
        store: MailStore,
        *,
        render: Callable[[MailFacts], RenderedMail],
        templates: Mapping[str, object],
        rules: DecisionRules,
        operator_email: str,
        alarm_group_s: float = 60.0,
        layout: Layout | None = None,
        operator_zone: str = "UTC",
        clock: Clock,
        wake: asyncio.Event,
        tests: MailCopies | None = None,
    ) -> None:
        self._store = store
        self._render = render
        self._templates = templates
        self._rules = rules
        self._clock = clock
        self._wake = wake
        alarms = AlarmIntake(
            store,
            operator_email=operator_email,
            group_s=alarm_group_s,
            clock=clock,
            layout=layout,
            zone=operator_zone,
        )
        resender = Resender(
            store,
            rules=rules,
            clock=clock,
            tests=tests,
            has_pages=layout is not None and layout.client_page is not None,
        )
        self._handlers: dict[str, Callable[[Received], Awaitable[None]]] = {
            ACCOUNT_CHANGED.name: self._account_changed,
            BALANCE_LOW.name: self._balance_low,
            BALANCE_ZERO.name: self._balance_zero,
            BALANCE_RESTORED.name: self._balance_restored,
            SERVICE_SUSPENDED.name: self._service_suspended,
            SERVICE_RESTORED.name: self._service_restored,
            RATING_ALARM.name: alarms.process,
            SUSPENDER_ALARM.name: alarms.process,
            NOTIFIER_ALARM.name: alarms.process,
            WATCH_ALARM.name: alarms.process,
            ACCOUNTS_ALARM.name: alarms.process,
            INGEST_ALARM.name: alarms.process,
            OPERATOR_REQUESTED.name: resender.process,
        }

    async def handle(self, batch: Sequence[Received]) -> BatchOutcome:
        """Process a batch. Idempotent: the same records again change nothing."""
        outcome = BatchOutcome()
        for received in batch:
            try:
                await self._handlers[received.topic](received)
            except (Reject, Conflict) as error:
                outcome.reject.append(Rejected(received, str(error)))
        self._wake.set()
        return outcome

    async def _account_changed(self, received: Received) -> None:
        changed = parse(AccountChanged, received)
        async with self._store.handling(changed.account_id) as connection:
            before = await store_clients.find_account(connection, changed.account_id)
            await store_clients.save_account(connection, _account(changed), changed.changed_at)
            account = await store_clients.find_account(connection, changed.account_id)
            assert account is not None, "the account was just saved"
            goes_live = before is not None and account.live_since != before.live_since
            gone_live_at = account.live_since if goes_live else None
            await self._decide_again(connection, changed.account_id, gone_live_at)

    async def _balance_low(self, received: Received) -> None:
        low = parse(BalanceLow, received)
        notice = low_alert(low, received.event_id, received.correlation_id)
        async with self._store.handling(low.account_id) as connection:
            account = await store_clients.find_account(connection, low.account_id)
            await store_clients.note_level(connection, low.account_id, "low", low.crossing)
            due_at = self._due_at(notice, account)
            if not await owed_store.add(connection, notice, self._clock.now(), due_at=due_at):
                await _check_same(connection, notice)
            await self._decide_again(connection, low.account_id)

    async def _balance_zero(self, received: Received) -> None:
        zero = parse(BalanceZero, received)
        named = (zero, received.event_id, received.correlation_id)
        async with self._store.handling(zero.account_id) as connection:
            account = await store_clients.find_account(connection, zero.account_id)
            await store_clients.note_level(
                connection, zero.account_id, "exhausted", zero.crossing, hold=zero.hold
            )
            is_live = account is not None and account.mode == "live"
            notice = zero_mail_to_come(*named) if is_live else would_be_zero_mail(*named)
            is_late = account and account.live_since and zero.occurred_at < account.live_since
            # For a hold that began in shadow mode, the suspension after going live queues the mail.
            if notice and not is_late and (account is None or account.prepaid):
                await owed_store.add(connection, notice, self._clock.now())
            await self._decide_again(connection, zero.account_id)

    async def _balance_restored(self, received: Received) -> None:
        restored = parse(BalanceRestored, received)
        ended = restored.hold if restored.level_before == "exhausted" else 0
        async with self._store.handling(restored.account_id) as connection:
            await store_clients.note_level(
                connection,
                restored.account_id,
                restored.level,
                restored.crossing,
                hold_ended=ended,
            )
            await self._decide_again(connection, restored.account_id)

    async def _service_suspended(self, received: Received) -> None:
        suspended = parse(ServiceSuspended, received)
        notice = zero_mail(suspended, received.correlation_id)
        if notice is None:
            return
        async with self._store.handling(suspended.account_id) as connection:
            now = self._clock.now()
            if not await owed_store.add(connection, notice, now):
                renewed = await owed_store.renew(connection, notice, now)
                if renewed:
                    await self._decide(connection, renewed)
            await self._decide_again(connection, suspended.account_id)

    async def _service_restored(self, received: Received) -> None:
        restored = parse(ServiceRestored, received)
        account_id, now = restored.account_id, self._clock.now()
        async with self._store.handling(account_id) as connection:
            await store_clients.note_restored(connection, account_id, restored.confirmed_at)
            zero = await owed_store.last_zero_mail(connection, account_id, restored.confirmed_at)
            if zero and zero.notice.number and VOIP_RESTORED in self._templates:
                notice = restored_mail(
                    restored,
                    zero.notice.number,
                    zero.notice.funds,
                    received.event_id,
                    received.correlation_id,
                )
                await owed_store.add(connection, notice, now)
            await self._decide_again(connection, account_id)

    def _due_at(self, notice: MailNotice, account: ClientAccount | None) -> datetime:
        """When to send a low alert: now, or after a grace period if it dates from shadow mode.

        Topics are read in any order. If the balance was low when the client went live, going live
        publishes another alert right away, which replaces this one within that period.
        """
        now = self._clock.now()
        live_since = account.live_since if account else None
        return now + _GRACE if live_since and notice.occurred_at < live_since else now

    async def _decide_again(
        self, connection: Connection, account_id: str, gone_live_at: datetime | None = None
    ) -> None:
        """Decide all of the client's mails that wait or can be queued again."""
        for owed in await owed_store.undecided(connection, account_id, gone_live_at):
            await self._decide(connection, owed)

    async def _decide(self, connection: Connection, owed: OwedMail) -> None:
        now = self._clock.now()
        facts = await owed_store.gather(connection, owed.notice, owed.created_at)
        outcome = decide_mail(owed.notice, facts, now, self._rules)
        await owed_store.apply(connection, owed, outcome, now)
        if isinstance(outcome, Drop) and outcome.reason == IN_SHADOW:
            await self._save_content(connection, owed, facts)
        if _is_news(owed, outcome):
            report_decision(owed.notice, outcome)

    async def _save_content(
        self, connection: Connection, owed: OwedMail, facts: DecisionFacts
    ) -> None:
        """Save the mail that a client in shadow mode would have been sent."""
        assert facts.account is not None, "only a known client is in shadow mode"
        content = self._render(
            MailFacts(
                template=owed.notice.template,
                account=facts.account,
                funds=funds_of(owed.notice, facts),
                occurred_at=owed.notice.occurred_at,
            )
        )
        recipient = facts.account.email.strip()
        await self._store.save_content(connection, owed.message_id, recipient, content)


def _is_news(owed: OwedMail, outcome: MailDecision) -> bool:
    """Whether a decision differs from the previous one."""
    if isinstance(outcome, Send):
        return owed.attempts == 0
    return isinstance(outcome, Drop) or owed.waits_for != outcome.reason


async def _check_same(connection: Connection, notice: MailNotice) -> None:
    """Raises Conflict if the same event was processed before with different funds."""
    known = await owed_store.find(connection, notice.message_id)
    if known and known.notice.cause_id == notice.cause_id and known.notice.funds != notice.funds:
        raise Conflict(
            f"event {notice.cause_id} came before with {known.notice.funds},"
            f" now with {notice.funds}"
        )


def _account(changed: AccountChanged) -> ClientAccount:
    return ClientAccount(
        account_id=changed.account_id,
        version=changed.version,
        first_name=changed.client.first_name,
        last_name=changed.client.last_name,
        company_name=changed.client.company_name,
        email=changed.client.email,
        wants_mail=changed.client.wants_mail,
        low_balance_threshold=changed.profile.low_balance_threshold,
        threshold_micro=changed.profile.threshold_micro,
        mode=changed.mode,
        prepaid=changed.profile.has_voip_service
        and any(service.prepaid for service in changed.services),
        time_zone=changed.time_zone,
        language=changed.client.language,
        cc=changed.client.cc,
        custom_fields=_profile_fields(changed) | changed.client.custom_fields,
    )


def _profile_fields(changed: AccountChanged) -> dict[str, str]:
    """The fields of the client profile that are custom fields in WHMCS (domain/billing, 1)."""
    profile = changed.profile
    return {
        "Has VoIP Service": "Yes" if profile.has_voip_service else "No",
        "Manual VoIP Suspend": profile.manual_voip_suspend,
        "VoIP Suspended": profile.voip_suspended,
    }
