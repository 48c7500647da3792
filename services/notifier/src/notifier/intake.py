"""Takes events in: each becomes a row, a message to send or what messages are measured against."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from notifier.journal import report, report_added
from notifier.merge_fields import Account
from notifier.notice import Message, low_alert, operator_mail, put_into_words, zero_mail
from notifier.store import Store
from notifier.template import Template
from ringfence.clock import Clock
from ringfence.errors import Conflict, Reject
from ringfence.events.account import AccountChanged
from ringfence.events.balance import BalanceLow, BalanceZero
from ringfence.events.service import ServiceRestored, ServiceSuspended, ServiceSuspensionFailed
from ringfence.kafka.records import Outcome, Received, Rejected, parse
from ringfence.postgres.pool import Connection
from ringfence.topics import (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
)

READS = (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    SERVICE_SUSPENDED,
    SERVICE_RESTORED,
    SERVICE_SUSPENSION_FAILED,
)


class Intake:
    """The handler: turns events into messages, and wakes those who send them."""

    def __init__(
        self,
        store: Store,
        *,
        templates: Mapping[str, Template],
        operator_email: str,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._store = store
        self._templates = templates
        self._operator_email = operator_email
        self._clock = clock
        self._wake = wake
        self._takes: dict[str, Callable[[Received], Awaitable[None]]] = {
            ACCOUNT_CHANGED.name: self._account_changed,
            BALANCE_LOW.name: self._balance_low,
            BALANCE_ZERO.name: self._balance_zero,
            SERVICE_SUSPENDED.name: self._service_suspended,
            SERVICE_RESTORED.name: self._service_restored,
            SERVICE_SUSPENSION_FAILED.name: self._suspension_failed,
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
        account = _account(parse(AccountChanged, received))
        async with self._store.handling(account.account_id) as connection:
            await self._store.keep_account(connection, account)
            for notice in await self._store.waiting(connection, account.account_id):
                message = put_into_words(notice, account, self._templates)
                await self._store.reword(connection, message, self._clock.now())
                report_added(message)

    async def _balance_low(self, received: Received) -> None:
        low = parse(BalanceLow, received)
        notice = low_alert(low, received.event_id, received.correlation_id)
        async with self._store.handling(low.account_id) as connection:
            account = await self._store.account(connection, low.account_id)
            added = await self._add(connection, put_into_words(notice, account, self._templates))
            if not added:
                known = await self._store.notice(connection, notice.message_id)
                if known.funds != notice.funds:
                    raise Conflict(
                        f"event {received.event_id} came before, and told of {known.funds},"
                        f" not of {notice.funds}"
                    )
            await self._store.note_level(connection, low.account_id, "low", low.crossing)
            await self._supersede(connection, low.account_id)

    async def _balance_zero(self, received: Received) -> None:
        zero = parse(BalanceZero, received)
        async with self._store.handling(zero.account_id) as connection:
            await self._store.note_level(connection, zero.account_id, "exhausted", zero.crossing)
            await self._supersede(connection, zero.account_id)

    async def _service_suspended(self, received: Received) -> None:
        suspended = parse(ServiceSuspended, received)
        notice = zero_mail(suspended, received.correlation_id)
        if notice is None:
            return
        async with self._store.handling(suspended.account_id) as connection:
            account = await self._store.account(connection, suspended.account_id)
            await self._add(connection, put_into_words(notice, account, self._templates))
            await self._supersede(connection, suspended.account_id)

    async def _service_restored(self, received: Received) -> None:
        restored = parse(ServiceRestored, received)
        async with self._store.handling(restored.account_id) as connection:
            await self._store.note_restored(connection, restored.account_id, restored.confirmed_at)
            await self._supersede(connection, restored.account_id)

    async def _suspension_failed(self, received: Received) -> None:
        failed = parse(ServiceSuspensionFailed, received)
        message = operator_mail(failed, self._operator_email, received.correlation_id)
        async with self._store.handling(failed.account_id) as connection:
            await self._add(connection, message)

    async def _add(self, connection: Connection, message: Message) -> bool:
        added = await self._store.add(connection, message, self._clock.now())
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
    )
