"""Rows of accounts' tables, read and written inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from accounts.clients.account import Account
from accounts.products.product import Product, packaged
from accounts.refusals import Unknown, unknown_client
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Package, Service


async def lock_name(connection: Connection, name: str, *, bound_s: float | None = None) -> None:
    """Hold the exclusive lock `name` until the transaction ends.

    Waits for another holder up to `bound_s` seconds, or as long as any statement may take.
    """
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", name, timeout=bound_s
    )


async def locked_account(connection: Connection, account_id: str) -> Account | None:
    """A client, locked until the transaction ends; None if it does not exist."""
    # "no key": a payment refers to the client and must not wait for a change of its profile.
    row = await connection.fetchrow(
        "select * from accounts.account where account_id = $1 for no key update", account_id
    )
    return as_account(row) if row else None


async def known_account(connection: Connection, account_id: str) -> Account:
    """A client, locked until the transaction ends. Raises Unknown."""
    account = await locked_account(connection, account_id)
    if account is None:
        raise unknown_client(account_id)
    return account


async def insert_account(connection: Connection, account: Account, clock: Clock) -> None:
    """Insert a new client at version 0; publishing it makes version 1."""
    await connection.execute(
        "insert into accounts.account (account_id, version, currency, time_zone, client, profile,"
        " outstanding_micro, orders, mode, leave_off, credit_limit_micro, outstanding_as_of,"
        " imported, changed_at)"
        " values ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        account.account_id,
        account.currency,
        *account_columns(account),
        clock.now(),
    )


async def check_package(connection: Connection, package_id: str | None) -> None:
    """Raises BadInput for a package that does not exist."""
    if package_id is not None and not await connection.fetchval(
        "select true from accounts.package where package_id = $1", package_id
    ):
        raise BadInput("package", package_id, "a package that exists (`ringfence package list`)")


async def check_product(connection: Connection, account_id: str, service_id: str) -> None:
    """Raises Unknown for a product that the client does not have."""
    if not await connection.fetchval(
        "select true from accounts.product where account_id = $1 and service_id = $2",
        account_id,
        service_id,
    ):
        raise unknown_product(account_id, service_id)


async def write_product(connection: Connection, product: Product, who: str, clock: Clock) -> None:
    """Insert a product, or replace the one with its id."""
    await connection.execute(
        "insert into accounts.product values ($1, $2, $3, $4, $5, $6, $7, $8)"
        " on conflict (service_id) do update set package_id = excluded.package_id,"
        " fields = excluded.fields, service = excluded.service,"
        " free_minutes = excluded.free_minutes, changed_by = excluded.changed_by,"
        " changed_at = excluded.changed_at",
        product.service.service_id,
        product.account_id,
        product.package_id,
        product.fields,
        product.service.model_dump(mode="json"),
        product.free_minutes,
        who,
        clock.now(),
    )


async def any_suspended(connection: Connection, account_id: str) -> bool:
    """Whether the PBX confirmed as suspended a product whose hold is that of the whole client."""
    found: bool = await connection.fetchval(
        "select exists (select from accounts.service_state"
        " where account_id = $1 and suspended and client_wide)",
        account_id,
    )
    return found


async def services_of(
    connection: Connection, account_ids: Sequence[str]
) -> dict[str, tuple[Service, ...]]:
    """The services of accounts in their published form, each with its package."""
    rows = await connection.fetch(
        "select p.account_id, p.package_id, p.fields, p.service, p.free_minutes, k.data as package"
        " from accounts.product p left join accounts.package k using (package_id)"
        " where p.account_id = any($1) order by p.service_id",
        account_ids,
    )
    found: dict[str, tuple[Service, ...]] = defaultdict(tuple)
    for row in rows:
        package = Package.model_validate(row["package"]) if row["package"] else None
        found[row["account_id"]] += (packaged(as_product(row), package),)
    return found


def account_columns(account: Account) -> tuple[Any, ...]:
    """The columns that a change of a client writes, in the order of the table."""
    return (
        account.time_zone,
        account.client.model_dump(mode="json"),
        account.profile.model_dump(mode="json"),
        account.outstanding_micro,
        [order.model_dump(mode="json") for order in account.orders],
        account.mode,
        account.leave_off,
        account.credit_limit_micro,
        account.outstanding_as_of,
        account.imported,
    )


def as_account(row: Record) -> Account:
    """A client from its row."""
    return Account.model_validate(dict(row))


def as_product(row: Record) -> Product:
    """A product from its row."""
    return Product(
        account_id=row["account_id"],
        service=Service.model_validate(row["service"]),
        fields=row["fields"],
        package_id=row["package_id"],
        free_minutes=row["free_minutes"],
    )


def unknown_product(account_id: str, service_id: str) -> Unknown:
    """The client has no product of this id."""
    expected = f"`ringfence client show {account_id}` lists the products of this client"
    return Unknown("product", service_id, expected)


async def count_for(pool: Pool, cursor: str | None, query: str, *arguments: object) -> int | None:
    """The number of rows of a list, by `query`; None after its first page: counting costs time."""
    if cursor is not None:
        return None
    found: int = await pool.fetchval(query, *arguments)
    return found
