"""Rating's tables: the only file with its SQL."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from rating.claims.store import ClaimTransaction
from rating.ledger import AccountBalance, Entry
from rating.posting.records import (
    ExistingNotBilled,
    ExistingRecords,
    FreeKey,
    NotBilledRow,
    UnratedRow,
)
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.tariff import RateRow, TariffPublished

_NOT_BILLED = (
    "call_id", "account_id", "service_id", "reason", "hidden", "started_at", "input_hash", "detail",
)  # fmt: skip


class ReferenceChanges(NamedTuple):
    """What changed since a worker last looked: profiles as JSON values, tariff versions."""

    horizon: str
    profiles: list[Any]
    tariffs: list[asyncpg.Record]


class EntryExists(Retry):
    """An entry that was taken for new stands in the ledger already: the next look finds it.

    After a look, another worker posted it meanwhile on another account (a number that changed
    hands during a rebalance).
    """


class BatchTransaction:
    """One settlement: reads with locks, then writes, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.claims = ClaimTransaction(connection)

    async def standings(self, accounts: dict[str, str]) -> dict[str, AccountBalance]:
        """Lock the accounts (id -> currency if it must be opened) in key order; how they stand."""
        ids = sorted(accounts)
        rows = await self._connection.fetch(
            "select account_id, currency, balance_micro, version, settled from rating.account"
            " where account_id = any($1) order by account_id for update",
            ids,
        )
        if len(rows) < len(ids):
            known = {row["account_id"] for row in rows}
            await self._open([(a, c) for a, c in accounts.items() if a not in known])
            return await self.standings(accounts)
        return {row["account_id"]: AccountBalance(*row[1:]) for row in rows}

    async def _open(self, accounts: Sequence[tuple[str, str]]) -> None:
        await self._connection.execute(
            "insert into rating.account (account_id, currency)"
            " select * from unnest($1::text[], $2::text[]) order by 1"
            " on conflict (account_id) do nothing",
            [account for account, _ in accounts],
            [currency for _, currency in accounts],
        )

    async def known(self, entry_ids: list[UUID], call_ids: list[UUID]) -> ExistingRecords:
        """What stands already of these entries and calls."""
        known = await self.without_entry(call_ids)
        for row in await self._connection.fetch(
            f"select {', '.join(Entry._fields)} from rating.ledger where entry_id = any($1)",  # noqa: S608 - a constant
            entry_ids,
        ):
            known.entries[row["entry_id"]] = Entry(*row)
        return known

    async def stand(self, entry_ids: list[UUID]) -> bool:
        """Whether any of these entries stands already."""
        ask = "select exists (select from rating.ledger where entry_id = any($1))"
        return bool(await self._connection.fetchval(ask, entry_ids))

    async def without_entry(self, call_ids: list[UUID]) -> ExistingRecords:
        """What stands already of these calls without an entry: not billed, or in the queue."""
        known = ExistingRecords()
        standing = await self._connection.fetch(
            "select call_id, false as waits from rating.not_billed where call_id = any($1)"
            " union all select call_id, true from rating.unrated where call_id = any($1)",
            call_ids,
        )
        if standing:
            await self._take_without_entry(known, standing)
        return known

    async def _take_without_entry(
        self, known: ExistingRecords, standing: list[asyncpg.Record]
    ) -> None:
        """Calls that stand without an entry; few of a batch do, most often none."""
        for row in await self._connection.fetch(
            "select n.*, a.currency from rating.not_billed n"
            " join rating.account a using (account_id) where n.call_id = any($1)",
            [row["call_id"] for row in standing if not row["waits"]],
        ):
            known.not_billed[row["call_id"]] = _known_call(row)
        for row in await self._connection.fetch(
            "select call_id, input_hash from rating.unrated where call_id = any($1)",
            [row["call_id"] for row in standing if row["waits"]],
        ):
            known.unrated[row["call_id"]] = row["input_hash"]

    async def free_used(self, keys: Iterable[FreeKey]) -> dict[FreeKey, int]:
        """Free seconds used so far; the accounts' locks guard them."""
        wanted = list(keys)
        if not wanted:
            return {}
        rows = await self._connection.fetch(
            "select f.* from rating.free_minutes f join unnest($1::text[], $2::text[], $3::date[])"
            " as k(account_id, service_id, period) using (account_id, service_id, period)",
            *_columns(wanted, 3),
        )
        used = {(r["account_id"], r["service_id"], r["period"]): int(r["used_s"]) for r in rows}
        return {key: used.get(key, 0) for key in wanted}

    async def write_entries(self, entries: Sequence[Entry]) -> None:
        """Append to the ledger. Raises EntryStands where one of them stands there already."""
        try:
            await self._connection.copy_records_to_table(
                "ledger", schema_name="rating", columns=Entry._fields, records=entries
            )
        except asyncpg.UniqueViolationError as error:
            raise EntryExists(f"an entry stands already: {error.detail}") from error

    async def write_standings(self, standings: dict[str, AccountBalance]) -> None:
        """Keep the balances beside the ledger."""
        rows = [(a, s.balance_micro, s.version, s.settled) for a, s in standings.items()]
        await self._connection.execute(
            "update rating.account a set balance_micro = n.balance_micro, version = n.version,"
            " settled = n.settled, updated_at = now()"
            " from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])"
            " as n(account_id, balance_micro, version, settled)"
            " where a.account_id = n.account_id",
            *_columns(rows, 4),
        )

    async def write_free_used(self, used: dict[FreeKey, int]) -> None:
        """Keep the free seconds used."""
        await self._connection.execute(
            "insert into rating.free_minutes (account_id, service_id, period, used_s)"
            " select * from unnest($1::text[], $2::text[], $3::date[], $4::int[])"
            " on conflict (account_id, service_id, period) do update set used_s = excluded.used_s",
            *_columns([(*key, seconds) for key, seconds in used.items()], 4),
        )

    async def write_not_billed(self, rows: Sequence[NotBilledRow]) -> None:
        """Keep calls that cost nothing by a rule."""
        await self._connection.copy_records_to_table(
            "not_billed", schema_name="rating", columns=_NOT_BILLED, records=rows
        )

    async def write_unrated(self, rows: Sequence[UnratedRow]) -> None:
        """Queue calls that can not be rated yet, or renew why they wait."""
        await self._connection.executemany(
            "insert into rating.unrated (call_id, server_id, tenant, reason, detail, account_id,"
            " service_id, billsec, started_at, input_hash, call)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
            " on conflict (call_id) do update set reason = excluded.reason,"
            " detail = excluded.detail, account_id = excluded.account_id,"
            " service_id = excluded.service_id",
            [
                (
                    u.told.call_id, u.told.server_id, u.told.tenant, u.told.reason, u.told.detail,
                    u.told.account_id, u.told.service_id, u.told.billsec, u.told.started_at,
                    u.input_hash, u.call,
                )
                for u in rows
            ],
        )  # fmt: skip

    async def resolve(self, call_ids: list[UUID]) -> None:
        """Take calls that are settled now out of the unrated queue."""
        await self._connection.execute(
            "delete from rating.unrated where call_id = any($1)", call_ids
        )


class RatingStore:
    """Everything that rating keeps."""

    def __init__(self, pool: Pool) -> None:
        self.pool = self._pool = pool

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[BatchTransaction]:
        """A transaction in which a batch is settled: all of it or nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield BatchTransaction(connection)

    async def learn_accounts(self, accounts: Sequence[AccountChanged]) -> set[str]:
        """Keep profiles that are newer than those known; open what is new.

        Returns the accounts whose currency is not the one that their ledger is kept in.
        """
        newest = {a.account_id: a for a in sorted(accounts, key=lambda a: a.version)}
        rows = sorted((a.account_id, a.version, a.to_json().decode()) for a in newest.values())
        async with self._pool.acquire() as connection, connection.transaction():
            await BatchTransaction(connection).standings({a: newest[a].currency for a in newest})
            wrong = await connection.fetch(
                "select a.account_id from rating.account a join"
                " unnest($1::text[], $2::text[]) as n(account_id, currency) using (account_id)"
                " where a.currency <> n.currency",
                *_columns([(a.account_id, a.currency) for a in newest.values()], 2),
            )
            refused = {row["account_id"] for row in wrong}
            await connection.execute(
                "insert into rating.profile as p (account_id, version, profile)"
                " select a, v, j::json from unnest($1::text[], $2::int[], $3::text[]) as n(a, v, j)"
                " on conflict (account_id) do update set version = excluded.version,"
                " profile = excluded.profile, changed_in = pg_current_xact_id()"
                " where p.version < excluded.version",
                *_columns([row for row in rows if row[0] not in refused], 3),
            )
        return refused

    async def learn_tariff(self, tariff: TariffPublished) -> None:
        """Keep that a tariff version exists; its rows stay where they are."""
        await self._pool.execute(
            "insert into rating.tariff"
            " (version_id, tariff_id, currency, effective_from, rows, sha256)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (version_id) do nothing",
            tariff.version_id,
            tariff.tariff_id,
            tariff.currency,
            tariff.effective_from,
            tariff.rows,
            tariff.sha256,
        )

    async def news(self, horizon: str) -> ReferenceChanges:
        """What was committed since `horizon` (a transaction id; "0" for all).

        The new horizon is the oldest transaction still running: whatever it may yet commit is
        read again the next time. A sequence would lose rows that commit out of order.
        """
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            now = await connection.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text")
            profiles = await connection.fetch(
                "select profile from rating.profile where changed_in >= $1::text::xid8", horizon
            )
            tariffs = await connection.fetch(
                "select * from rating.tariff where changed_in >= $1::text::xid8", horizon
            )
        return ReferenceChanges(now, [row["profile"] for row in profiles], tariffs)

    async def rates(self, version_id: int) -> list[RateRow]:
        """A tariff version's rows, by prefix: the claim check is redeemed here."""
        rows = await self._pool.fetch(
            "select prefix, description, rate, initial_s, increment_s, status"
            ' from accounts.tariff_rate where version_id = $1 order by prefix collate "C"',
            version_id,
        )
        return [tuple(row) for row in rows]

    async def bury(self, dead: Sequence[tuple[UUID, str, str]]) -> None:
        """Keep which calls are dead: (id, reason, record as text)."""
        await self._pool.executemany(
            "insert into rating.dead_call (call_id, reason, record) values ($1, $2, $3)"
            " on conflict (call_id) do nothing",
            dead,
        )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as the arrays that `unnest` takes; `width` empty ones where there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _known_call(row: asyncpg.Record) -> ExistingNotBilled:
    return ExistingNotBilled(
        account_id=row["account_id"],
        service_id=row["service_id"],
        reason=row["reason"],
        hidden=row["hidden"],
        input_hash=row["input_hash"],
        detail=row["detail"],
        currency=row["currency"],
    )
