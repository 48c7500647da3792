"""The alarms about long calls and unrated talk time, and the sums that they are raised by."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from rating.exposure.long_calls import ALARM as LONG_ALARM
from rating.exposure.long_calls import LongCall, text_of
from rating.exposure.unrated_talk import WITHIN, ClientTalk, TenantTalk
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.topics import RATING_ALARM

MAX_SUBJECTS = 20
"""Alarms of one kind for a server: a PBX that is out of order must not raise them without end."""

_NUMBERS = 5
_LOCK = "rating.exposure"
_ALARMS = Alarms(RATING_ALARM, schema="rating")
_OPEN = "select subject from rating.alarm where key = $1 and ended_at is null"
# Calls of the last minute may be settled at once: a product that was just entered, a leg to come.
_WAITS = "not is_row and billsec > 0 and reason <> 'waits-for-leg' and queued_at <= $1"
_CLIENTS = f"""
select account_id, coalesce(service_id, ''), count(*), sum(billsec)::bigint,
    coalesce(sum(billsec) filter (where started_at > $2), 0)::bigint, min(queued_at),
    array_agg(distinct reason order by reason)
from rating.unrated where account_id is not null and {_WAITS}
group by 1, 2 order by 1, 2
"""  # noqa: S608 - constants
_TENANTS = f"""
select server_id, tenant, count(*), sum(billsec)::bigint, min(queued_at)
from rating.unrated where account_id is null and {_WAITS}
group by server_id, tenant order by server_id, tenant
"""  # noqa: S608 - constants
_NUMBER = """
case when call::json->>'direction' = 'inbound' then coalesce(
    nullif(call::json->>'caller_destination', ''), call::json->>'destination_number')
"""
_CALLED = f"""
select distinct {_NUMBER} else call::json->>'destination_number' end from (
    select call from rating.unrated where account_id = $2 and {_WAITS}
    order by queued_at desc limit {_NUMBERS}) as newest order by 1
"""  # noqa: S608 - constants
_UNNAMED = f"""
select distinct {_NUMBER} else coalesce(nullif(call::json->>'extension', ''),
    call::json->>'caller_number') end from (
    select call from rating.unrated where account_id is null and server_id = $2
    and ($3 = '*' or tenant = $3) and {_WAITS} order by queued_at desc limit {_NUMBERS}) as newest
order by 1
"""  # noqa: S608 - constants


class LongCallTransaction:
    """Raises alarms about long calls within one batch's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def raise_alarms(
        self, calls: Sequence[LongCall], clients: Mapping[str, str], now: datetime
    ) -> None:
        """One alarm for each call; beyond `MAX_SUBJECTS` of a server, one for its others."""
        opened = {row["subject"] for row in await self._connection.fetch(_OPEN, LONG_ALARM)}
        for call in sorted(calls, key=lambda call: call.subject):
            server = f"{call.call.server_id}/"
            subject = _within(opened, server, call.subject)
            text = text_of(call, clients.get(call.account_id or "", ""))
            await _ALARMS.raise_alarm(self._connection, LONG_ALARM, subject, text, now)
            opened.add(subject)


class ExposureTransaction:
    """Reads what waits, and raises and ends alarms, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def clients(self, before: datetime, now: datetime) -> list[ClientTalk]:
        """What waits of each client's products and was queued before `before`."""
        rows = await self._connection.fetch(_CLIENTS, before, now - WITHIN)
        return [ClientTalk._make((*tuple(row)[:6], tuple(row[6]))) for row in rows]

    async def tenants(self, before: datetime) -> list[TenantTalk]:
        """What waits of each tenant and belongs to no product, queued before `before`."""
        return [TenantTalk(*row) for row in await self._connection.fetch(_TENANTS, before)]

    async def balances(self, account_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Balance and currency of these accounts."""
        rows = await self._connection.fetch(
            "select account_id, balance_micro, currency from rating.account"
            " where account_id = any($1)",
            account_ids,
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    async def called(self, account_id: str, before: datetime) -> list[str]:
        """Some numbers of a client's newest waiting calls."""
        return [row[0] for row in await self._connection.fetch(_CALLED, before, account_id)]

    async def unnamed(self, server_id: str, tenant: str, before: datetime) -> list[str]:
        """Some extensions and DIDs of the newest calls without product; `*`: of all tenants."""
        rows = await self._connection.fetch(_UNNAMED, before, server_id, tenant)
        return [row[0] for row in rows]

    async def opened(self, key: str) -> set[str]:
        """The subjects of the open alarms of a kind."""
        return {row["subject"] for row in await self._connection.fetch(_OPEN, key)}

    async def raise_alarm(self, key: str, subject: str, text: AlarmText, now: datetime) -> None:
        """Raise an alarm unless it is open."""
        await _ALARMS.raise_alarm(self._connection, key, subject, text, now)

    async def end_alarm(self, key: str, subject: str, now: datetime) -> None:
        """End an alarm if it is open."""
        await _ALARMS.end_alarm(self._connection, key, subject, now)

    async def end_long_calls(self, now: datetime, after: timedelta) -> None:
        """End the alarms about long calls that were raised longer ago than `after`."""
        rows = await self._connection.fetch(f"{_OPEN} and raised_at < $2", LONG_ALARM, now - after)
        for row in rows:
            await _ALARMS.end_alarm(self._connection, LONG_ALARM, row["subject"], now)


class ExposureStore:
    """Transactions over the unrated queue, one replica at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[ExposureTransaction | None]:
        """A transaction; None while another replica has one."""
        async with self._pool.acquire() as connection, connection.transaction():
            mine = await connection.fetchval(
                "select pg_try_advisory_xact_lock(hashtext($1))", _LOCK
            )
            yield ExposureTransaction(connection) if mine else None


def _within(opened: set[str], server: str, subject: str) -> str:
    """The subject, or that of all others of the server where too many are open."""
    of_server = sum(one.startswith(server) for one in opened)
    return subject if subject in opened or of_server < MAX_SUBJECTS else f"{server}*"
