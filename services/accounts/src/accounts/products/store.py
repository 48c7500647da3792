"""Products. Each change is published with its client, in one transaction."""

from typing import NamedTuple
from uuid import UUID

from accounts.clients.account import Account, with_confirmed, without_orders_of
from accounts.clients.changes import product_facts
from accounts.clients.store_publishing import AuditEntry, ClientChange, publish
from accounts.clients.versions import check_version
from accounts.products.elements import LeftElement
from accounts.products.product import Product, check_server
from accounts.products.sharing import check_shared
from accounts.products.store_leaving import is_confirmed_off, request_release, stays_off
from accounts.refusals import Clash, unknown_client
from accounts.store_rows import (
    any_suspended,
    as_product,
    check_package,
    known_account,
    unknown_product,
    write_product,
)
from accounts.store_writing import ExpectedVersions, writing
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection, Pool

_COLUMNS = "account_id, package_id, fields, service, free_minutes"
_PRODUCT = f"select {_COLUMNS} from accounts.product"  # noqa: S608 - constants of this module
_BESIDE = f"""{_PRODUCT} where service_id = $2 or service->>'server_id' = $1
    and (service->>'tenant' = $3 or service->'gateway_ids' ?| $4::text[])"""
"""The product of that id, and those on its server that name its tenant or one of its gateways."""


class EnteredProduct(NamedTuple):
    """A product after it was entered, and before (None: new).

    `leaving` are elements that left it and stay off; `release_id` is the command that switches
    them on, if it was requested.
    """

    product: Product
    old: Product | None
    account: Account
    leaving: tuple[LeftElement, ...] = ()
    release_id: UUID | None = None


class ProductRemoval(NamedTuple):
    """A client after a product was removed; the fields are those of `EnteredProduct`."""

    account: Account
    leaving: tuple[LeftElement, ...] = ()
    release_id: UUID | None = None


class ProductStore:
    """The products of clients."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def of_client(self, account_id: str) -> list[Product]:
        """The products of a client. Raises Unknown if the client does not exist."""
        if not await self._pool.fetchval(
            "select true from accounts.account where account_id = $1", account_id
        ):
            raise unknown_client(account_id)
        rows = await self._pool.fetch(
            f"{_PRODUCT} where account_id = $1 order by service_id", account_id
        )
        return [as_product(row) for row in rows]

    async def on_server(self, server_id: str | None = None) -> list[Product]:
        """The products of all clients on a server; None: on all servers."""
        rows = await self._pool.fetch(
            f"{_PRODUCT} where $1::text is null or service->>'server_id' = $1 order by service_id",
            server_id,
        )
        return [as_product(row) for row in rows]

    async def get(self, account_id: str, service_id: str) -> Product:
        """One product of a client. Raises Unknown."""
        row = await self._pool.fetchrow(
            f"{_PRODUCT} where account_id = $1 and service_id = $2", account_id, service_id
        )
        if row is None:
            known = "select exists (select from accounts.account where account_id = $1)"
            if not await self._pool.fetchval(known, account_id):
                raise unknown_client(account_id)
            raise unknown_product(account_id, service_id)
        return as_product(row)

    async def put(
        self,
        product: Product,
        entry: AuditEntry,
        *,
        servers: frozenset[str] | None = None,
        versions: ExpectedVersions = None,
        release: bool = False,
    ) -> EnteredProduct:
        """Create or replace a product, and publish its client.

        `Product.completed` fills in what is left out. `servers` are those that exist, None: not
        known. `release`: elements that leave the product are switched on at once. Raises Unknown
        for the client; BadInput for a package or a new server that does not exist; Clash when the
        product's id belongs to another client, or it shares what must not be shared; Stale.
        """
        service = product.service
        async with writing(self._pool, f"server:{service.server_id}") as connection:
            account = await known_account(connection, product.account_id)
            check_version(account, versions)
            await check_package(connection, product.package_id)
            old = await self._check_others(connection, product, servers)
            product = product.completed(old, self._clock.now(), imported=account.imported)
            if old != product:
                await write_product(connection, product, entry.who, self._clock)
                change = ClientChange(account, account, product_facts(old), product_facts(product))
                account = (await publish(connection, [change], entry, self._clock))[0]
            leaving = await stays_off(connection, account.account_id, service.service_id)
            release_id = None
            if release and (leaving or old is not None):
                release_id = await request_release(
                    connection, account, service.service_id, entry, self._clock
                )
            return EnteredProduct(product, old, account, leaving, release_id)

    async def _check_others(
        self, connection: Connection, product: Product, servers: frozenset[str] | None
    ) -> Product | None:
        """The product before the change. Raises Clash and BadInput for what it must not share."""
        service = product.service
        rows = await connection.fetch(
            _BESIDE, service.server_id, service.service_id, service.tenant, service.gateway_ids
        )
        existing = [as_product(row) for row in rows]
        old = next((p for p in existing if p.service.service_id == service.service_id), None)
        if old is not None and old.account_id != product.account_id:
            raise Clash("service_id", service.service_id, f"it is client {old.account_id}'s")
        check_server(product, old, servers)
        check_shared(product, existing)
        return old

    async def remove(
        self,
        account_id: str,
        service_id: str,
        entry: AuditEntry,
        *,
        versions: ExpectedVersions = None,
        release: bool = False,
    ) -> ProductRemoval:
        """Remove a product and its orders, and publish its client.

        With `release`, what was switched off for it is switched on at once, also for a product
        that was removed before. Raises Unknown, Stale.
        """
        async with writing(self._pool) as connection:
            account = await known_account(connection, account_id)
            check_version(account, versions)
            was_suspended = await any_suspended(connection, account_id)
            gone = await connection.fetchrow(
                "delete from accounts.product where service_id = $1 and account_id = $2"  # noqa: S608
                f" returning {_COLUMNS}",
                service_id,
                account_id,
            )
            leaving: tuple[LeftElement, ...] = ()
            if await is_confirmed_off(connection, account_id, service_id):
                leaving = await stays_off(connection, account_id, service_id)
            if gone is None and not (release and leaving):
                raise unknown_product(account_id, service_id)
            if gone is not None:
                after = without_orders_of(service_id)(account)
                if was_suspended:
                    off = await any_suspended(connection, account_id)
                    after = with_confirmed(off, self._clock.now())(after)
                change = ClientChange(account, after, product_facts(as_product(gone)))
                account = (await publish(connection, [change], entry, self._clock))[0]
            release_id = None
            if release:
                release_id = await request_release(
                    connection, account, service_id, entry, self._clock
                )
            return ProductRemoval(account, leaving, release_id)
