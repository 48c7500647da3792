"""Accounts' tables: every change of a client is published in the transaction that makes it.

Locks are taken in one order, so that no two writers wait for each other: packages (shared by
those who read them, exclusive for who changes one), then a name (a new client, a server, a
tariff), then accounts by their ids.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.account import Account, Edit, account_changed, with_confirmed
from accounts.product import Product, check_shared
from accounts.refusals import Clash, Unknown, unknown_client
from accounts.store_rows import (
    account_columns,
    any_suspended,
    as_account,
    as_product,
    check_package,
    insert_account,
    known_account,
    lock_name,
    locked_account,
    services_of,
    unknown_product,
    write_product,
)
from ringfence import ids
from ringfence.clock import Clock
from ringfence.errors import BadInput
from ringfence.events.account import Package
from ringfence.kafka.records import Outgoing
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from ringfence.topics import ACCOUNT_CHANGED

SCHEMA = "accounts"
_PACKAGES = 0x7061636B  # an advisory lock of ours: packages are read, or one is changed
MAX_EVENT_BYTES = 400_000
"""An account that does not fit in one record could never be published."""

_PRODUCT = "select account_id, package_id, fields, service, free_minutes from accounts.product"


@dataclass(frozen=True)
class Deed:
    """Who changes something, and what."""

    who: str
    what: str
    correlation_id: str = ""


class Store:
    """Clients, products and packages."""

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

    async def accounts(self, after: str | None, limit: int) -> list[Account]:
        """Clients in the order of their ids."""
        rows = await self._pool.fetch(
            "select * from accounts.account where account_id > $1 order by account_id limit $2",
            after or "",
            limit,
        )
        return [as_account(row) for row in rows]

    async def failures(self, account_id: str) -> dict[str, str]:
        """What could not be switched on a PBX, by product."""
        rows = await self._pool.fetch(
            "select service_id, failure from accounts.service_state"
            " where account_id = $1 and failure is not null order by service_id",
            account_id,
        )
        return {row["service_id"]: row["failure"] for row in rows}

    async def enter_client(
        self, account_id: str, enter: Callable[[Account | None], Account], deed: Deed
    ) -> tuple[Account, bool]:
        """Create or change a client; `enter` gets what stands, or None. And whether it is new."""
        async with self._writing(f"client:{account_id}") as connection:
            before = await locked_account(connection, account_id)
            after = enter(before)
            if before is None:
                await insert_account(connection, after, self._clock)
            return await self._settle(connection, before, after, deed), before is None

    async def change(self, account_id: str, edit: Edit, deed: Deed) -> Account:
        """Change a client; publishes its next version if anything changed. Raises Unknown."""
        async with self._writing() as connection:
            before = await known_account(connection, account_id)
            return await self._settle(connection, before, edit(before), deed)

    async def products(self, account_id: str) -> list[Product]:
        """A client's products. Raises Unknown if there is no such client."""
        await self.account(account_id)
        rows = await self._pool.fetch(
            f"{_PRODUCT} where account_id = $1 order by service_id", account_id
        )
        return [as_product(row) for row in rows]

    async def product(self, account_id: str, service_id: str) -> Product:
        """One product of a client. Raises Unknown."""
        row = await self._pool.fetchrow(
            f"{_PRODUCT} where account_id = $1 and service_id = $2", account_id, service_id
        )
        if row is None:
            raise unknown_product(account_id, service_id)
        return as_product(row)

    async def put_product(self, product: Product, deed: Deed) -> tuple[Account, bool]:
        """Create or replace a product, and publish its client; and whether it is new.

        Raises Unknown for the client, BadInput for the package, Clash when the product's id is
        another client's or it shares what must not be shared.
        """
        service = product.service
        async with self._writing(f"server:{service.server_id}") as connection:
            account = await known_account(connection, product.account_id)
            await check_package(connection, product.package_id)
            rows = await connection.fetch(
                f"{_PRODUCT} where service->>'server_id' = $1 or service_id = $2",
                service.server_id,
                service.service_id,
            )
            standing = [as_product(row) for row in rows]
            old = next((p for p in standing if p.service.service_id == service.service_id), None)
            if old is not None and old.account_id != product.account_id:
                raise Clash("service_id", service.service_id, f"it is client {old.account_id}'s")
            check_shared(product, standing)
            if old != product:
                await write_product(connection, product, deed.who, self._clock)
                account = (await self._publish(connection, [account], deed))[0]
            return account, old is None

    async def delete_product(self, account_id: str, service_id: str, deed: Deed) -> Account:
        """Remove a product, and publish its client. Raises Unknown."""
        async with self._writing() as connection:
            account = await known_account(connection, account_id)
            was_suspended = await any_suspended(connection, account_id)
            gone = await connection.fetchval(
                "delete from accounts.product where service_id = $1 and account_id = $2"
                " returning service_id",
                service_id,
                account_id,
            )
            if gone is None:
                raise unknown_product(account_id, service_id)
            if was_suspended:
                account = with_confirmed(await any_suspended(connection, account_id))(account)
            return (await self._publish(connection, [account], deed))[0]

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
            raise Unknown("package", package_id, "create it with PUT /v1/packages/{package_id}")
        return Package.model_validate(data)

    async def put_package(self, package_id: str, package: Package, deed: Deed) -> list[str]:
        """Create or change a package, and publish all accounts that use it; their ids."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _PACKAGES)
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
                deed.who,
                self._clock.now(),
            )
            rows = await connection.fetch(
                "select * from accounts.account where account_id in"
                " (select account_id from accounts.product where package_id = $1)"
                " order by account_id for no key update",
                package_id,
            )
            told = await self._publish(connection, [as_account(row) for row in rows], deed)
            return [account.account_id for account in told]

    async def confirm(
        self,
        event_id: UUID,
        account_id: str,
        service_id: str,
        *,
        suspended: bool | None,
        failure: str | None,
        deed: Deed,
    ) -> None:
        """Keep what the PBX confirmed for a service, once for each event, and tell the profile.

        `suspended` None leaves the confirmed state as it was. Raises Unknown for an account that
        is not ours; a product that was removed meanwhile changes nothing.
        """
        async with self._writing() as connection:
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
                "insert into accounts.service_state"
                " (service_id, account_id, suspended, failure, changed_at)"
                " select service_id, account_id, coalesce($3, false), $4, $5"
                " from accounts.product where service_id = $1 and account_id = $2"
                " on conflict (service_id) do update set failure = excluded.failure,"
                " suspended = coalesce($3, service_state.suspended),"
                " changed_at = excluded.changed_at",
                service_id,
                account_id,
                suspended,
                failure,
                self._clock.now(),
            )
            if suspended is not None:
                after = with_confirmed(await any_suspended(connection, account_id))(account)
                await self._settle(connection, account, after, deed)

    @asynccontextmanager
    async def _writing(self, name: str | None = None) -> AsyncIterator[Connection]:
        """A transaction in which no package changes, and nobody else writes under `name`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock_shared($1)", _PACKAGES)
            if name is not None:
                await lock_name(connection, name)
            yield connection

    async def _settle(
        self, connection: Connection, before: Account | None, after: Account, deed: Deed
    ) -> Account:
        if after == before:
            return after
        return (await self._publish(connection, [after], deed))[0]

    async def _publish(
        self, connection: Connection, accounts: Sequence[Account], deed: Deed
    ) -> list[Account]:
        """Save accounts that are locked, each with its next version, and tell their state."""
        now = self._clock.now()
        services = await services_of(connection, [account.account_id for account in accounts])
        raised = [a.model_copy(update={"version": a.version + 1}) for a in accounts]
        await connection.executemany(
            "update accounts.account set version = $2, time_zone = $3, client = $4, profile = $5,"
            " outstanding_micro = $6, changed_at = $7 where account_id = $1",
            [(a.account_id, a.version, *account_columns(a), now) for a in raised],
        )
        await connection.executemany(
            "insert into accounts.account_change values ($1, $2, $3, $4, $5)",
            [(a.account_id, a.version, deed.what, deed.who, now) for a in raised],
        )
        events = [
            _event(account_changed(a, services[a.account_id], now), deed.correlation_id)
            for a in raised
        ]
        await enqueue(connection, SCHEMA, events)
        return raised


def _event(data: Any, correlation_id: str) -> Outgoing:
    value = data.to_json()
    if len(value) > MAX_EVENT_BYTES:
        expected = f"at most {MAX_EVENT_BYTES} bytes for a client and all of its products"
        raise BadInput("client", f"{len(value)} bytes", expected)
    return Outgoing(
        topic=ACCOUNT_CHANGED,
        key=data.account_id,
        value=value,
        event_id=ids.derive(ACCOUNT_CHANGED.name, data.account_id, data.version),
        time=data.changed_at,
        source=SCHEMA,
        correlation_id=correlation_id,
    )
