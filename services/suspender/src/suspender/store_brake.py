"""The brake's row, and the counts that turn it on."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.alarm import AlarmText
from suspender.rules.brake import BRAKE_ALARM, WHAT_TO_DO, BegunHold, CommonTariff
from suspender.store import ALARMS

# Holds that began with an opening balance or an import do not count, nor do undone ones.
_BEGAN = (
    "held and live and prepaid and mail_owed and (hold = 0 or hold <> undone_hold)"
    " and held_since >= $1"
)


class Brake(NamedTuple):
    """`on_since` is None while the brake is off; holds begun until `counted_from` do not count."""

    on_since: datetime | None
    cause: str
    counted_from: datetime


class BrakeStore:
    """The brake within a transaction. Lock accounts before the brake, never after it (deadlock)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self) -> Brake:
        """Lock and read the brake, so that replicas count one after the other."""
        row = await self._connection.fetchrow(
            "select on_since, cause, counted_from from suspender.brake for update"
        )
        assert row is not None
        return Brake(*row)

    async def begun(self, since: datetime, counted_from: datetime) -> list[BegunHold]:
        """The live clients whose funds hold began since then, by id."""
        rows = await self._connection.fetch(
            "select account_id, hold_reason from suspender.account"  # noqa: S608
            f" where {_BEGAN} and held_since > $2 order by account_id",
            since,
            counted_from,
        )
        return [BegunHold(*row) for row in rows]

    async def began_at(self, account_ids: Collection[str], now: datetime) -> None:
        """Let the holds of these clients count as begun at `now`."""
        await self._connection.execute(
            "update suspender.account set held_since = $2 where held and account_id = any($1)",
            list(account_ids),
            now,
        )

    async def live_clients(self) -> int:
        """The number of live clients with a prepaid product."""
        count = await self._connection.fetchval(
            "select count(*) from suspender.account where live and prepaid and profile is not null"
        )
        return int(count)

    async def mostly_charged(self, account_ids: list[str], since: datetime) -> CommonTariff | None:
        """The tariff version by which most of these clients were charged since then."""
        row = await self._connection.fetchrow(
            "select c.tariff_id, c.version, count(distinct a.account_id) as clients"
            " from unnest($1::text[]) as a (account_id) cross join lateral ("
            "   select explanation -> 'explanation' ->> 'tariff_id' as tariff_id,"
            "     explanation -> 'explanation' ->> 'tariff_version' as version"
            "   from report.ledger l where l.account_id = a.account_id and kind = 'charge'"
            "     and posted_at >= $2 order by l.version desc limit 20"
            " ) as c where c.tariff_id is not null"
            " group by 1, 2 order by clients desc, 1, 2 limit 1",
            account_ids,
            since,
        )
        return None if row is None else CommonTariff(row[0], row[1] or "unknown", row[2])

    async def turn_on(self, now: datetime, cause: str, message: str) -> None:
        """Pause suspensions for funds, and raise the alarm."""
        await self._connection.execute(
            "update suspender.brake set on_since = $1, cause = $2", now, cause
        )
        text = AlarmText(message, WHAT_TO_DO, severity="critical")
        await ALARMS.raise_alarm(self._connection, BRAKE_ALARM, BRAKE_ALARM, text, now)

    async def release(self, now: datetime) -> None:
        """Resume the waiting suspensions and end the alarm; holds so far no longer count."""
        await self._connection.execute(
            "update suspender.brake set on_since = null, cause = '', counted_from = $1", now
        )
        await ALARMS.end_alarm(self._connection, BRAKE_ALARM, BRAKE_ALARM, now)

    async def paused(self) -> int:
        """The number of suspensions that wait for the brake."""
        count = await self._connection.fetchval(
            "select count(*) from suspender.service where wanted_seq > confirmed_seq"
            " and wanted = 'suspended' and holds = '{funds}'"
        )
        return int(count)

    async def to_undo(self, window_began: datetime) -> list[str]:
        """The clients whose funds hold began since then and still applies.

        Clients in shadow mode are included: a wrong tariff holds them too.
        """
        rows = await self._connection.fetch(
            "select account_id from suspender.account where held and mail_owed and hold > 0"
            " and hold <> undone_hold and held_since >= $1",
            window_began,
        )
        return [row["account_id"] for row in rows]


async def is_brake_on(connection: "Connection | Pool") -> bool:
    """Whether suspensions for funds are paused."""
    return bool(await connection.fetchval("select on_since is not null from suspender.brake"))


async def brake_since(connection: Connection) -> datetime | None:
    """Since when the brake is on, read without a lock."""
    since: datetime | None = await connection.fetchval("select on_since from suspender.brake")
    return since
