"""The loop that raises alarms about talk time that nobody was charged for yet."""

import asyncio
from datetime import timedelta
from itertools import groupby
from typing import Protocol

from rating.exposure.store import MAX_SUBJECTS, ExposureStore, ExposureTransaction
from rating.exposure.unrated_talk import (
    CLIENT_ALARM,
    PRODUCT_ALARM,
    ClientExposure,
    ClientTalk,
    TenantTalk,
    client_text,
    product_text,
)
from rating.posting.reference_data import ReferenceData
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

EVERY_S = 30.0
GRACE = timedelta(minutes=1)
"""Calls that wait for a shorter time raise no alarm: a correction may be under way."""

LONG_CALL_OPEN = timedelta(days=1)
"""An alarm about a long call ends after this: nothing else could end it."""

_ALL = "*"


class KnowsReference(Protocol):
    """The handler, which has accounts, products and tariffs in memory."""

    async def current_reference(self) -> ReferenceData:
        """Accounts, products and tariffs as they are in the database now."""
        ...


class ExposureWatch:
    """The loop over the unrated queue."""

    def __init__(
        self,
        *,
        rating: KnowsReference,
        store: ExposureStore,
        clock: Clock,
        progress: Progress,
        grace: timedelta = GRACE,
    ) -> None:
        self._rating = rating
        self._store = store
        self._clock = clock
        self._progress = progress
        self._grace = grace

    async def run(self, stop: asyncio.Event) -> None:
        """Look every `EVERY_S` seconds until `stop` is set."""
        await run_loop(
            stop,
            self.look,
            "unrated talk is looked at later",
            progress=self._progress,
            every_s=EVERY_S,
        )

    async def look(self) -> None:
        """Raise and end alarms by what waits now."""
        reference = await self._rating.current_reference()
        async with self._store.transaction() as transaction:
            if transaction is None:
                return
            await self._clients(transaction, reference)
            await self._tenants(transaction)
            await transaction.end_long_calls(self._clock.now(), LONG_CALL_OPEN)

    async def _clients(self, transaction: ExposureTransaction, reference: ReferenceData) -> None:
        now = self._clock.now()
        before = now - self._grace
        waiting = await transaction.clients(before, now)
        balances = await transaction.balances([talk.account_id for talk in waiting])
        opened = await transaction.opened(CLIENT_ALARM)
        alarming = set()
        for account_id, talks in groupby(waiting, key=lambda talk: talk.account_id):
            balance, currency = balances.get(account_id, (0, ""))
            exposure = _exposure(list(talks), reference, balance, currency)
            if not exposure.is_alarming:
                continue
            alarming.add(account_id)
            if account_id not in opened:
                client = reference.client_names([account_id]).get(account_id, "")
                numbers = await transaction.called(account_id, before)
                text = client_text(exposure, client, numbers)
                await transaction.raise_alarm(CLIENT_ALARM, account_id, text, now)
        for account_id in opened - alarming:
            await transaction.end_alarm(CLIENT_ALARM, account_id, now)

    async def _tenants(self, transaction: ExposureTransaction) -> None:
        now = self._clock.now()
        before = now - self._grace
        opened = await transaction.opened(PRODUCT_ALARM)
        waiting = await transaction.tenants(before)
        alarming = set()
        for server_id, talks in groupby(waiting, key=lambda talk: talk.server_id):
            for tenant, talk in _named(list(talks), opened):
                subject = f"{server_id}/{tenant}"
                alarming.add(subject)
                if subject not in opened:
                    numbers = await transaction.unnamed(server_id, tenant, before)
                    text = product_text(talk, tenant, numbers)
                    await transaction.raise_alarm(PRODUCT_ALARM, subject, text, now)
        for subject in opened - alarming:
            await transaction.end_alarm(PRODUCT_ALARM, subject, now)


def _exposure(
    talks: list[ClientTalk], reference: ReferenceData, balance_micro: int, currency: str
) -> ClientExposure:
    """One client's products together."""
    account_id = talks[0].account_id
    values = [reference.dearest_micro(account_id, t.service_id, t.talk_s, t.since) for t in talks]
    known = [value for value in values if value is not None]
    prepaid = any(reference.is_prepaid(account_id, talk.service_id) for talk in talks)
    return ClientExposure(
        account_id=account_id,
        calls=sum(talk.calls for talk in talks),
        talk_s=sum(talk.talk_s for talk in talks),
        recent_s=sum(talk.recent_s for talk in talks),
        since=min(talk.since for talk in talks),
        reasons=tuple(sorted({reason for talk in talks for reason in talk.reasons})),
        value_micro=sum(known) if len(known) == len(values) else None,
        credit_micro=balance_micro if prepaid else None,
        currency=currency,
    )


def _named(talks: list[TenantTalk], opened: set[str]) -> list[tuple[str, TenantTalk]]:
    """A server's tenants with an alarm of their own: those that have one, then the first others.

    The rest has one together, under `*`.
    """
    mine = sorted(talks, key=lambda talk: f"{talk.server_id}/{talk.tenant}" not in opened)
    named = [(talk.tenant, talk) for talk in mine[:MAX_SUBJECTS]]
    rest = mine[MAX_SUBJECTS:]
    if rest:
        calls, talk_s = sum(t.calls for t in rest), sum(t.talk_s for t in rest)
        since = min(talk.since for talk in rest)
        named.append((_ALL, TenantTalk(rest[0].server_id, _ALL, calls, talk_s, since)))
    return named
