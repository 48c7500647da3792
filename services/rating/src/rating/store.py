"""Rating's tables as the pipeline uses them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from rating.claims.store import ClaimTransaction
from rating.exposure.store import LongCallTransaction
from rating.ledger import AccountBalance, Entry
from rating.posting.records import (
    ExistingNotBilled,
    ExistingRecords,
    FreeKey,
    NotBilledRow,
    UnratedRow,
)
from rating.pricing.free_bundles import NATIONAL
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.tariff import RateRow, TariffPublished

PRUNED = (
    PruneRule(
        "rating.dead_call",
        "died_at",
        "not exists (select from report.accepted_record a where a.record_id = t.call_id)"
        " and not exists (select from report.unconfirmed_row r where r.row_id = t.call_id)",
    ),
)
"""What this service deletes after the horizon (docs/retention.md). A dead call is kept while the
record of its acceptance is: I3 looks for one of them."""

_NOT_BILLED = (
    "call_id", "account_id", "service_id", "reason", "hidden", "started_at", "input_hash", "detail",
)  # fmt: skip


class ReferenceChanges(NamedTuple):
    """Profiles (as JSON values) and tariff versions that changed, and the horizon after them."""

    horizon: str
    profiles: list[Any]
    tariffs: list[asyncpg.Record]


class EntryExists(Retry):
    """An entry that was expected to be new is in the ledger: a check of the ledger finds it.

    After a check, it means that another worker has posted it since, on another account (a number
    that changed hands during a rebalance).
    """


class BatchTransaction:
    """One batch: reads with locks, then writes, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.claims = ClaimTransaction(connection)
        self.long_calls = LongCallTransaction(connection)

    async def lock_balances(self, accounts: dict[str, str]) -> dict[str, AccountBalance]:
        """Lock the accounts in the order of their ids, and open new ones; their balances.

        `accounts` has the currency by account id.
        """
        ids = sorted(accounts)
        rows = await self._connection.fetch(
            "select account_id, currency, balance_micro, version, settled from rating.account"
            " where account_id = any($1) order by account_id for update",
            ids,
        )
        if len(rows) < len(ids):
            known = {row["account_id"] for row in rows}
            await self._open([(a, c) for a, c in accounts.items() if a not in known])
            return await self.lock_balances(accounts)
        return {row["account_id"]: AccountBalance(*row[1:]) for row in rows}

    async def _open(self, accounts: Sequence[tuple[str, str]]) -> None:
        await self._connection.execute(
            "insert into rating.account (account_id, currency)"
            " select * from unnest($1::text[], $2::text[]) order by 1"
            " on conflict (account_id) do nothing",
            [account for account, _ in accounts],
            [currency for _, currency in accounts],
        )

    async def existing(self, entry_ids: list[UUID], call_ids: list[UUID]) -> ExistingRecords:
        """Which of these entries and calls exist."""
        existing = await self.existing_without_entry(call_ids)
        for row in await self._connection.fetch(
            f"select {', '.join(Entry._fields)} from rating.ledger where entry_id = any($1)",  # noqa: S608 - a constant
            entry_ids,
        ):
            existing.entries[row["entry_id"]] = Entry(*row)
        return existing

    async def any_exist(self, entry_ids: list[UUID]) -> bool:
        """Whether any of these entries is in the ledger."""
        query = "select exists (select from rating.ledger where entry_id = any($1))"
        return bool(await self._connection.fetchval(query, entry_ids))

    async def existing_without_entry(self, call_ids: list[UUID]) -> ExistingRecords:
        """Which of these calls exist without an entry: not billed, or in the unrated queue."""
        existing = ExistingRecords()
        found = await self._connection.fetch(
            "select call_id, false as waits from rating.not_billed where call_id = any($1)"
            " union all select call_id, true from rating.unrated where call_id = any($1)",
            call_ids,
        )
        if found:
            await self._read_without_entry(existing, found)
        return existing

    async def _read_without_entry(
        self, existing: ExistingRecords, found: list[asyncpg.Record]
    ) -> None:
        """Read what is stored of calls without an entry; most batches have none."""
        for row in await self._connection.fetch(
            "select n.*, a.currency from rating.not_billed n"
            " join rating.account a using (account_id) where n.call_id = any($1)",
            [row["call_id"] for row in found if not row["waits"]],
        ):
            existing.not_billed[row["call_id"]] = _not_billed(row)
        for row in await self._connection.fetch(
            "select call_id, input_hash from rating.unrated where call_id = any($1)",
            [row["call_id"] for row in found if row["waits"]],
        ):
            existing.unrated[row["call_id"]] = row["input_hash"]

    async def free_used(self, keys: Iterable[FreeKey]) -> dict[FreeKey, int]:
        """Free seconds used so far by each key; the accounts' locks protect them."""
        listed = list(keys)
        if not listed:
            return {}
        rows = await self._connection.fetch(
            "with k as (select * from unnest($1::text[], $2::text[], $3::date[], $4::text[])"
            " as k(account_id, service_id, period, bundle))"
            " select account_id, service_id, period, bundle, used_s"
            " from rating.free_minutes join k using (account_id, service_id, period)"
            " where bundle = $5 union all"
            " select account_id, service_id, period, bundle, used_s"
            " from rating.free_bundle join k using (account_id, service_id, period, bundle)",
            *_columns(listed, 4),
            NATIONAL,
        )
        used = {
            (r["account_id"], r["service_id"], r["period"], r["bundle"]): int(r["used_s"])
            for r in rows
        }
        return {key: used.get(key, 0) for key in listed}

    async def write_entries(self, entries: Sequence[Entry]) -> None:
        """Append to the ledger. Raises EntryExists if one of the entries is in it."""
        try:
            await self._connection.copy_records_to_table(
                "ledger", schema_name="rating", columns=Entry._fields, records=entries
            )
        except asyncpg.UniqueViolationError as error:
            raise EntryExists(f"an entry exists already: {error.detail}") from error

    async def write_balances(self, balances: dict[str, AccountBalance]) -> None:
        """Write the accounts' balances, which are kept beside the ledger."""
        rows = [(a, s.balance_micro, s.version, s.settled) for a, s in balances.items()]
        await self._connection.execute(
            "update rating.account a set balance_micro = n.balance_micro, version = n.version,"
            " settled = n.settled, updated_at = now()"
            " from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])"
            " as n(account_id, balance_micro, version, settled)"
            " where a.account_id = n.account_id",
            *_columns(rows, 4),
        )

    async def write_free_used(self, used: dict[FreeKey, int]) -> None:
        """Write the free seconds used so far."""
        rows = [(*key, seconds) for key, seconds in used.items()]
        if national := [(*key, used_s) for *key, bundle, used_s in rows if bundle == NATIONAL]:
            await self._connection.execute(
                "insert into rating.free_minutes (account_id, service_id, period, used_s)"
                " select * from unnest($1::text[], $2::text[], $3::date[], $4::int[])"
                " on conflict (account_id, service_id, period)"
                " do update set used_s = excluded.used_s",
                *_columns(national, 4),
            )
        if named := [row for row in rows if row[3] != NATIONAL]:
            await self._connection.execute(
                "insert into rating.free_bundle (account_id, service_id, period, bundle, used_s)"
                " select * from unnest($1::text[], $2::text[], $3::date[], $4::text[], $5::int[])"
                " on conflict (account_id, service_id, period, bundle)"
                " do update set used_s = excluded.used_s",
                *_columns(named, 5),
            )

    async def write_not_billed(self, rows: Sequence[NotBilledRow]) -> None:
        """Insert calls that cost nothing by a rule."""
        await self._connection.copy_records_to_table(
            "not_billed", schema_name="rating", columns=_NOT_BILLED, records=rows
        )

    async def write_unrated(self, rows: Sequence[UnratedRow]) -> None:
        """Queue calls that cannot be rated yet, or replace why they wait."""
        await self._connection.executemany(
            "insert into rating.unrated (call_id, server_id, tenant, reason, detail, account_id,"
            " service_id, billsec, started_at, input_hash, call)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
            " on conflict (call_id) do update set reason = excluded.reason,"
            " detail = excluded.detail, account_id = excluded.account_id,"
            " service_id = excluded.service_id, call = excluded.call",
            [
                (
                    e.call_id, e.server_id, e.tenant, e.cause or e.reason, e.detail,
                    e.account_id, e.service_id, e.billsec, e.started_at,
                    row.input_hash, row.call,
                )
                for row in rows
                for e in (row.event,)
            ],
        )  # fmt: skip

    async def resolve(self, call_ids: list[UUID]) -> None:
        """Delete calls from the unrated queue."""
        await self._connection.execute(
            "delete from rating.unrated where call_id = any($1)", call_ids
        )


class RatingStore:
    """Rating's tables, by whole transactions."""

    def __init__(self, pool: Pool) -> None:
        self.pool = self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[BatchTransaction]:
        """A transaction for one batch: all of it is committed, or nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield BatchTransaction(connection)

    async def save_accounts(self, accounts: Sequence[AccountChanged]) -> set[str]:
        """Save profiles that are newer than the stored ones, and open new accounts.

        Returns the accounts that are refused because their currency is not that of their ledger.
        """
        newest = {a.account_id: a for a in sorted(accounts, key=lambda a: a.version)}
        rows = sorted((a.account_id, a.version, a.to_json().decode()) for a in newest.values())
        async with self._pool.acquire() as connection, connection.transaction():
            await BatchTransaction(connection).lock_balances(
                {a: newest[a].currency for a in newest}
            )
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

    async def save_tariff(self, tariff: TariffPublished) -> None:
        """Save that a tariff version exists; its rows stay in accounts.tariff_rate."""
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

    async def reference_changes(self, horizon: str) -> ReferenceChanges:
        """What was committed since `horizon` (a transaction id; "0" for all).

        The new horizon is the oldest transaction that is still running: what it commits later is
        read the next time. A sequence would miss rows that are committed out of order.
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
        """The rows of a tariff version in the order of their prefixes.

        The event of a tariff names only the version (the claim-check pattern).
        """
        rows = await self._pool.fetch(
            "select prefix, description, rate, initial_s, increment_s, status,"
            " connection_fee, minimum_cost, maximum_cost"
            ' from accounts.tariff_rate where version_id = $1 order by prefix collate "C"',
            version_id,
        )
        return [tuple(row) for row in rows]

    async def record_dead_calls(self, dead: Sequence[tuple[UUID, str, str]]) -> None:
        """Insert calls that can never be rated: (id, reason, record as text)."""
        await self._pool.executemany(
            "insert into rating.dead_call (call_id, reason, record) values ($1, $2, $3)"
            " on conflict (call_id) do nothing",
            dead,
        )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as the arrays that `unnest` takes; `width` empty ones where there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _not_billed(row: asyncpg.Record) -> ExistingNotBilled:
    return ExistingNotBilled(
        account_id=row["account_id"],
        service_id=row["service_id"],
        reason=row["reason"],
        hidden=row["hidden"],
        input_hash=row["input_hash"],
        detail=row["detail"],
        currency=row["currency"],
    )
