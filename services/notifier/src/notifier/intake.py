"""Takes events in: each becomes a row, a mail to send or what unsent mails are measured against."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from notifier import store_clients, store_notices
from notifier.alarm_intake import AlarmIntake
from notifier.journal import report, report_added
from notifier.merge_fields import Account
from notifier.notice import (
    Message,
    Notice,
    low_alert,
    put_into_words,
    would_be_zero_mail,
    zero_mail,
)
from notifier.store import Store
from notifier.template import Template
from ringfence.clock import Clock
from ringfence.errors import Conflict, Reject
from ringfence.events.account import AccountChanged
from ringfence.events.balance import BalanceLow, BalanceZero
from ringfence.events.service import ServiceRestored, ServiceSuspended
from ringfence.kafka.records import Outcome, Received, Rejected, parse
from ringfence.postgres.pool import Connection
from ringfence.topics import (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    RATING_ALARM,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SUSPENDER_ALARM,
)

READS = (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    SERVICE_SUSPENDED,
    SERVICE_RESTORED,
    RATING_ALARM,
    SUSPENDER_ALARM,
)

_GRACE = timedelta(minutes=1)
"""How long an alert from before the client went live waits for a later one to take its place."""


class Intake:
    """The handler: turns events into messages, and wakes those who send them."""

    def __init__(
        self,
        store: Store,
        *,
        templates: Mapping[str, Template],
        operator_email: str,
        alarm_group_s: float = 60.0,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._store = store
        self._templates = templates
        self._clock = clock
        self._wake = wake
        alarms = AlarmIntake(
            store, operator_email=operator_email, group_s=alarm_group_s, clock=clock
        )
        self._takes: dict[str, Callable[[Received], Awaitable[None]]] = {
            ACCOUNT_CHANGED.name: self._account_changed,
            BALANCE_LOW.name: self._balance_low,
            BALANCE_ZERO.name: self._balance_zero,
            SERVICE_SUSPENDED.name: self._service_suspended,
            SERVICE_RESTORED.name: self._service_restored,
            RATING_ALARM.name: alarms.take,
            SUSPENDER_ALARM.name: alarms.take,
        }

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Write a message for each event that calls for one. Safe to call again with the same."""
        outcome = Outcome()
        for received in batch:
            try:
                await self._takes[received.topic](received)
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
            assert account is not None, "it was saved just now"
            notices = await store_notices.waiting(connection, changed.account_id)
            if before and account.live_since and account.live_since != before.live_since:
                notices += await store_notices.held_in_shadow(
                    connection, changed.account_id, account.live_since
                )
            for notice in notices:
                message = put_into_words(notice, account, self._templates)
                await store_notices.reword(connection, message, self._clock.now())
                report_added(message)
            await self._supersede(connection, changed.account_id)

    async def _balance_low(self, received: Received) -> None:
        low = parse(BalanceLow, received)
        notice = low_alert(low, received.event_id, received.correlation_id)
        async with self._store.handling(low.account_id) as connection:
            account = await store_clients.find_account(connection, low.account_id)
            message = put_into_words(notice, account, self._templates)
            added = await self._add(connection, message, due_at=self._due_at(notice, account))
            if not added:
                known = await store_notices.find_notice(connection, notice.message_id)
                if known.funds != notice.funds:
                    raise Conflict(
                        f"event {received.event_id} came before with {known.funds},"
                        f" now with {notice.funds}"
                    )
            await store_clients.note_level(connection, low.account_id, "low", low.crossing)
            await self._supersede(connection, low.account_id)

    async def _balance_zero(self, received: Received) -> None:
        zero = parse(BalanceZero, received)
        notice = would_be_zero_mail(zero, received.event_id, received.correlation_id)
        async with self._store.handling(zero.account_id) as connection:
            account = await store_clients.find_account(connection, zero.account_id)
            if notice and (account is None or (account.mode == "shadow" and account.prepaid)):
                await self._add(connection, put_into_words(notice, account, self._templates))
            await store_clients.note_level(connection, zero.account_id, "exhausted", zero.crossing)
            await self._supersede(connection, zero.account_id)

    async def _service_suspended(self, received: Received) -> None:
        suspended = parse(ServiceSuspended, received)
        notice = zero_mail(suspended, received.correlation_id)
        if notice is None:
            return
        async with self._store.handling(suspended.account_id) as connection:
            account = await store_clients.find_account(connection, suspended.account_id)
            message = put_into_words(notice, account, self._templates)
            if not await self._add(connection, message) and await store_notices.owe_again(
                connection, message, self._clock.now()
            ):
                report_added(message)
            await self._supersede(connection, suspended.account_id)

    async def _service_restored(self, received: Received) -> None:
        restored = parse(ServiceRestored, received)
        async with self._store.handling(restored.account_id) as connection:
            await store_clients.note_restored(
                connection, restored.account_id, restored.confirmed_at
            )
            await self._supersede(connection, restored.account_id)

    def _due_at(self, notice: Notice, account: Account | None) -> datetime:
        """When to send a low alert: now, but for one that may be of the client's shadow time.

        Topics are read in any order. Of a shadow time that ended in a low balance, the alert that
        going live brings about follows at once and supersedes this one.
        """
        now = self._clock.now()
        live_since = account.live_since if account else None
        return now + _GRACE if live_since and notice.occurred_at < live_since else now

    async def _add(
        self, connection: Connection, message: Message, *, due_at: datetime | None = None
    ) -> bool:
        added = await self._store.add(connection, message, self._clock.now(), due_at=due_at)
        if added:
            report_added(message)
        return added

    async def _supersede(self, connection: Connection, account_id: str) -> None:
        for message in await self._store.supersede(connection, account_id):
            report(message, "superseded")


def _account(changed: AccountChanged) -> Account:
    return Account(
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
    )
