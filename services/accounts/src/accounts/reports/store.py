"""Balances, ledgers, calls and services, read from the views of the services that own them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from asyncpg import Record

from accounts.paging import by_columns, decode_cursor, page, read_id, read_version
from accounts.products.elements import emergency_words
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import Service
from ringfence_contracts.money import format_micro


class Reports:
    """Reads the schema `report`; every amount is shown in micro-units and as a decimal."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def balance(self, account_id: str, currency: str) -> dict[str, Any]:
        """The balance of a client; 0 at version 0 before the first posting."""
        row = await self._pool.fetchrow(
            "select account_id, balance_micro, version, currency, updated_at"
            " from report.balance where account_id = $1",
            account_id,
        )
        nothing = {
            "account_id": account_id,
            "balance_micro": 0,
            "version": 0,
            "currency": currency,
            "updated_at": None,
        }
        return shown(row or nothing)

    async def ledger(self, account_id: str, cursor: str | None, limit: int) -> dict[str, Any]:
        """The ledger entries of a client, the newest first."""
        (before,) = decode_cursor(cursor, read_version)
        rows = await self._pool.fetch(
            "select entry_id, account_id, version, kind, amount_micro, balance_after_micro,"
            " occurred_at, posted_at, explanation, cause_id from report.ledger"
            " where account_id = $1 and ($2::bigint is null or version < $2)"
            " order by version desc limit $3",
            account_id,
            before,
            limit + 1,
        )
        # The entries of an account are numbered from 1 without gaps.
        count = None if cursor else (rows[0]["version"] if rows else 0)
        return page([shown(row) for row in rows], limit, by_columns("version"), count)

    async def calls(self, account_id: str, cursor: str | None, limit: int) -> dict[str, Any]:
        """A client's calls, the newest first, each with how it was priced."""
        started_at, call_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            "select call_id, account_id, service_id, outcome, reason, cost_micro, direction,"
            " number, billsec, started_at, explanation from report.call"
            " where account_id = $1 and not hidden"
            " and ($2::timestamptz is null or (started_at, call_id) < ($2, $3::uuid))"
            " order by started_at desc, call_id desc limit $4",
            account_id,
            started_at,
            call_id,
            limit + 1,
        )
        query = "select count(*) from report.call where account_id = $1 and not hidden"
        count = await count_for(self._pool, cursor, query, account_id)
        position = by_columns("started_at", "call_id")
        return page([shown(row) for row in rows], limit, position, count)

    async def services(
        self, account_id: str | None, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """The desired and the confirmed state of services, and the last error.

        `would` is the state that the holds ask for; in shadow (`live` is false) it is shown but
        not applied. A removed product is `departed` while something of it is off. `ended_calls`
        are the calls that were ended when it was switched off.
        """
        after, of_account = decode_cursor(cursor, read_id, read_id)
        rows = await self._pool.fetch(
            "select s.service_id, s.account_id, s.server_id, s.wanted, s.confirmed, s.since,"
            " s.last_error, s.next_attempt_at, s.would, s.live, s.holds, s.proven, s.departed,"
            " p.service, coalesce(f.ended_calls, '{}') as ended_calls"
            " from report.service_state s"
            " left join accounts.product p"
            "     on p.service_id = s.service_id and p.account_id = s.account_id"
            " left join accounts.service_state f on f.service_id = p.service_id"
            " where ($1::text is null or s.account_id = $1)"
            " and ($2::text is null or (s.service_id, s.account_id) > ($2, $3::text))"
            " order by s.service_id, s.account_id limit $4",
            account_id,
            after,
            of_account,
            limit + 1,
        )
        query = (
            "select count(*) from report.service_state where $1::text is null or account_id = $1"
        )
        count = await count_for(self._pool, cursor, query, account_id)
        position = by_columns("service_id", "account_id")
        return page([_service(row) for row in rows], limit, position, count)

    async def unrated(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Calls that could not be rated, the oldest first, each with its reason."""
        queued_at, call_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            "select call_id, server_id, tenant, reason, detail, billsec, started_at, queued_at"
            " from report.unrated"
            " where $1::timestamptz is null or (queued_at, call_id) > ($1, $2::uuid)"
            " order by queued_at, call_id limit $3",
            queued_at,
            call_id,
            limit + 1,
        )
        count = await count_for(self._pool, cursor, "select count(*) from report.unrated")
        position = by_columns("queued_at", "call_id")
        return page([shown(row) for row in rows], limit, position, count)


def _service(row: Record) -> dict[str, Any]:
    """A service, with what happens to emergency calls while it is off (None: it was removed)."""
    found = shown(row)
    product = found.pop("service")
    service = Service.model_validate(product) if product else None
    emergency = emergency_words(service.kind, service.way) if service else None
    return {**found, "emergency": emergency}


def shown(row: Record | Mapping[str, Any]) -> dict[str, Any]:
    """A row with a decimal text for every amount: `balance_micro` 8000000, `balance` 8.00."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found[name] = value
        if name.endswith("_micro"):
            found[name.removesuffix("_micro")] = None if value is None else format_micro(value)
    return found
