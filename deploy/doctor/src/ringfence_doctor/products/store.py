"""Read-only queries of the doctor about products and inventories."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import asyncpg
from pydantic import ValidationError

from ringfence.postgres.pool import role_of
from ringfence_contracts.events.account import Service
from ringfence_pbx.comparison import ClientProduct, InventoryItem


@dataclass(frozen=True)
class LastRead:
    """When an inventory was last read, its gaps, and the error of the last attempt, or ''."""

    read_at: datetime | None = None
    gaps: tuple[str, ...] = ()
    error: str = ""


class UnclaimedCalls(NamedTuple):
    """Calls that wait because no product, or several, claim them; `name` is the extension that
    called, or the DID that was called."""

    server_id: str
    tenant: str
    name: str
    calls: int
    talk_s: int


@dataclass(frozen=True)
class EnteredProducts:
    """The products, when each was last changed, and the last inventory of each server.

    `unknown` is the reason if they could not be read, else empty. `unreadable` are the ids of
    products that this version of the program cannot parse.
    """

    products: tuple[ClientProduct, ...] = ()
    changed_at: Mapping[str, datetime] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    reads: Mapping[str, LastRead] = field(default_factory=dict)
    items: Mapping[str, tuple[InventoryItem, ...]] = field(default_factory=dict)
    unknown: str = ""
    unclaimed: tuple[UnclaimedCalls, ...] = ()


async def read_products(dsn: str, timeout_s: float) -> EnteredProducts:
    """All products and inventories. Raises asyncpg's errors and OSError."""
    role = {"role": role_of("cdr-ingest"), "default_transaction_read_only": "on"}
    connection = await asyncpg.connect(
        dsn, timeout=timeout_s, command_timeout=timeout_s, server_settings=role
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            products = await connection.fetch(
                "select account_id, service_id, service, changed_at from report.product"
                " order by service_id"
            )
            reads = await connection.fetch(
                "select server_id, read_at, gaps, error from report.inventory_read"
            )
            items = await connection.fetch(
                "select server_id, kind, tenant, name, uuid, label, enabled, leads_to"
                " from report.inventory"
            )
            unclaimed = await connection.fetch(
                "select server_id, tenant, coalesce(name, ''), calls, talk_s"
                " from report.call_without_product order by server_id, tenant, talk_s desc, 3"
            )
    finally:
        await connection.close()
    listed: dict[str, list[InventoryItem]] = {}
    for server_id, *item in items:
        listed.setdefault(server_id, []).append(InventoryItem(*item))
    found, unreadable = _products(products)
    return EnteredProducts(
        products=found,
        changed_at={row["service_id"]: row["changed_at"] for row in products},
        unreadable=unreadable,
        reads={r["server_id"]: LastRead(r["read_at"], tuple(r["gaps"]), r["error"]) for r in reads},
        items={server_id: tuple(known) for server_id, known in listed.items()},
        unclaimed=tuple(UnclaimedCalls(*row) for row in unclaimed),
    )


def _products(
    rows: list[asyncpg.Record],
) -> tuple[tuple[ClientProduct, ...], tuple[str, ...]]:
    found: list[ClientProduct] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            service = Service.model_validate(json.loads(row["service"]))
        except (ValidationError, ValueError):
            unreadable.append(row["service_id"])
        else:
            found.append(ClientProduct(row["account_id"], service))
    return tuple(found), tuple(unreadable)
