"""Clients and packages. Each change of a client is published in the transaction that makes it."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from accounts.access.clients.store import PRUNED as CLIENT_LINKS_PRUNED
from accounts.access.sessions.store import PRUNED as SESSIONS_PRUNED
from accounts.clients.account import Account, Edit, with_confirmed, with_mode
from accounts.clients.store_publishing import AuditEntry, ClientChange, publish
from accounts.clients.versions import check_version
from accounts.payments.store_rows import has_postings, insert_opening, publish_payment
from accounts.refusals import Clash, Unknown, unknown_client
from accounts.store_rows import (
    any_suspended,
    as_account,
    check_product,
    insert_account,
    known_account,
    locked_account,
)
from accounts.store_writing import ExpectedVersions, changing_packages, writing
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule
from ringfence_contracts.events.account import OperatingMode, Package

PRUNED = (PruneRule("accounts.handled_event", "handled_at"), *SESSIONS_PRUNED, *CLIENT_LINKS_PRUNED)
"""What this service deletes after the horizon (docs/retention.md)."""

# The topics of off, on and failed have no common order: an event that a later one overtook is old.
_CONFIRMED = """
insert into accounts.service_state
    (service_id, account_id, confirmed_at, changed_at, suspended, client_wide, ended_calls)
select service_id, account_id, $3, $4, $5::boolean, $6, $7::text[]
from accounts.product where service_id = $1 and account_id = $2
on conflict (service_id) do update set
    suspended = excluded.suspended, client_wide = excluded.client_wide,
    failure = case when service_state.failed_at > excluded.confirmed_at
        then service_state.failure end,
    ended_calls = case when not excluded.suspended or excluded.ended_calls <> '{}'
        then excluded.ended_calls else service_state.ended_calls end,
    confirmed_at = excluded.confirmed_at, changed_at = excluded.changed_at
where coalesce(service_state.confirmed_at <= excluded.confirmed_at, true)
"""
_FAILED = """
insert into accounts.service_state
    (service_id, account_id, failed_at, changed_at, suspended, failure)
select service_id, account_id, $3, $4, false, $5 from accounts.product
where service_id = $1 and account_id = $2
on conflict (service_id) do update set
    failure = excluded.failure, failed_at = excluded.failed_at, changed_at = excluded.changed_at
where coalesce(
    greatest(service_state.confirmed_at, service_state.failed_at) <= excluded.failed_at, true)
"""


class ChangeResult(NamedTuple):
    """A client before and after a change; `before` is None for a new one."""

    before: Account | None
    after: Account


class AccountStore:
    """Reads and writes clients, packages and confirmed service states."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def account(self, account_id: str) -> Account:
        """A client. Raises Unknown."""
        row = await self._pool.fetchrow(
            "select * from accounts.account where account_id = $1", account_id
        )
        if row is None:
            raise unknown_client(account_id)
        return as_account(row)

    async def enter_client(
        self,
        account_id: str,
        enter: Callable[[Account | None], Account],
        entry: AuditEntry,
        *,
        opening_micro: int | None = None,
        versions: ExpectedVersions = None,
    ) -> ChangeResult:
        """Create or change a client; `enter` gets the one that exists, or None.

        The opening balance (None: 0) of a new client is posted in the same transaction; that of
        an existing client too, if it has no posting yet. Raises Stale, Clash, and what `enter`
        raises.
        """
        async with writing(self._pool, f"client:{account_id}") as connection:
            before = await locked_account(connection, account_id)
            check_version(before, versions)
            after = enter(before)
            opening = None
            if before is None:
                await insert_account(connection, after, self._clock)
            if before is None or opening_micro is not None:
                opening = await insert_opening(
                    connection, after, opening_micro, entry.who, self._clock.now()
                )
            after = await self._save_account(connection, before, after, entry)
            if opening is not None:
                await publish_payment(connection, opening)
            return ChangeResult(before, after)

    async def change(
        self,
        account_id: str,
        edit: Edit,
        entry: AuditEntry,
        *,
        versions: ExpectedVersions = None,
        service_id: str | None = None,
    ) -> ChangeResult:
        """Change a client, and publish its next version if anything changed.

        Raises Unknown for the client, and for a product `service_id` that it does not have.
        Raises Stale where the client is at none of `versions`.
        """
        async with writing(self._pool) as connection:
            before = await known_account(connection, account_id)
            check_version(before, versions)
            if service_id is not None:
                await check_product(connection, account_id, service_id)
            return ChangeResult(
                before, await self._save_account(connection, before, edit(before), entry)
            )

    async def set_mode(
        self,
        account_id: str,
        mode: OperatingMode,
        leave_off: bool,
        entry: AuditEntry,
        *,
        versions: ExpectedVersions = None,
    ) -> ChangeResult:
        """Set the mode of a client. Raises Clash for `live` where nothing was posted yet."""
        async with writing(self._pool) as connection:
            before = await known_account(connection, account_id)
            check_version(before, versions)
            if before.mode != mode == "live" and not await has_postings(connection, account_id):
                expected = (
                    "nothing was posted to this client yet, so its credit is not known: give its "
                    f"opening balance first (ringfence client set {account_id} --opening-balance 0)"
                )
                raise Clash("mode", mode, expected)
            after = with_mode(mode, leave_off)(before)
            return ChangeResult(before, await self._save_account(connection, before, after, entry))

    async def packages(self) -> dict[str, Package]:
        """All packages by id."""
        rows = await self._pool.fetch("select * from accounts.package order by package_id")
        return {row["package_id"]: Package.model_validate(row["data"]) for row in rows}

    async def package(self, package_id: str) -> Package:
        """A package. Raises Unknown."""
        data = await self._pool.fetchval(
            "select data from accounts.package where package_id = $1", package_id
        )
        if data is None:
            raise Unknown("package", package_id, "`ringfence package list` shows those that exist")
        return Package.model_validate(data)

    async def put_package(self, package_id: str, package: Package, entry: AuditEntry) -> list[str]:
        """Create or change a package, and publish all accounts that use it. Returns their ids."""
        async with changing_packages(self._pool) as connection:
            old = await connection.fetchval(
                "select data from accounts.package where package_id = $1", package_id
            )
            if old is not None and Package.model_validate(old) == package:
                return []
            await connection.execute(
                "insert into accounts.package values ($1, $2, $3, $4)"
                " on conflict (package_id) do update set data = excluded.data,"
                " changed_by = excluded.changed_by, changed_at = excluded.changed_at",
                package_id,
                package.model_dump(mode="json"),
                entry.who,
                self._clock.now(),
            )
            rows = await connection.fetch(
                "select * from accounts.account where account_id in"
                " (select account_id from accounts.product where package_id = $1)"
                " order by account_id for no key update",
                package_id,
            )
            was = {} if old is None else {f"package {package_id}": old}
            now = {f"package {package_id}": package.model_dump(mode="json")}
            accounts = [as_account(row) for row in rows]
            changes = [ClientChange(account, account, was, now) for account in accounts]
            raised = await publish(connection, changes, entry, self._clock)
            return [account.account_id for account in raised]

    async def confirm(
        self,
        event_id: UUID,
        account_id: str,
        service_id: str,
        *,
        at: datetime,
        suspended: bool | None,
        client_wide: bool,
        failure: str | None,
        entry: AuditEntry,
        ended_calls: tuple[str, ...] = (),
    ) -> None:
        """Store what the PBX confirmed for a service, and write it into the profile.

        A duplicate of the event `event_id` changes nothing, and neither does a product that has
        been removed, nor an event that a later one overtook: `at` is when it was confirmed, or when
        it failed. `client_wide`: the hold is that of the whole client; a hold of one product
        alone does not change the profile. `suspended` None leaves the confirmed state unchanged.
        `ended_calls` are kept until the service is restored: an event without ended calls does
        not clear them. Raises Unknown for an account that does not exist.
        """
        async with writing(self._pool) as connection:
            account = await known_account(connection, account_id)
            fresh = await connection.fetchval(
                "insert into accounts.handled_event values ($1, $2)"
                " on conflict do nothing returning event_id",
                event_id,
                self._clock.now(),
            )
            if fresh is None:
                return
            await connection.execute(
                _FAILED if suspended is None else _CONFIRMED,
                service_id,
                account_id,
                at,
                self._clock.now(),
                *((failure,) if suspended is None else (suspended, client_wide, list(ended_calls))),
            )
            if suspended is not None:
                off = await any_suspended(connection, account_id)
                after = with_confirmed(off, self._clock.now())(account)
                await self._save_account(connection, account, after, entry)

    async def _save_account(
        self, connection: Connection, before: Account | None, after: Account, entry: AuditEntry
    ) -> Account:
        if after == before:
            return after
        if before is not None and _only_read_later(before, after):
            await connection.execute(
                "update accounts.account set outstanding_as_of = $2 where account_id = $1",
                after.account_id,
                after.outstanding_as_of,
            )
            return after
        return (await publish(connection, [ClientChange(before, after)], entry, self._clock))[0]


def _only_read_later(before: Account, after: Account) -> bool:
    """Whether only `outstanding_as_of` differs: the same debts, read at a later time.

    That instant is stored, but it is not a change of the client: no version is published.
    """
    return after == before.model_copy(update={"outstanding_as_of": after.outstanding_as_of})
