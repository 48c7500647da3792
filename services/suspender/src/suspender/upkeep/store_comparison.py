"""The rows of the comparison: products, inventories, and alarms about what does not exist."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import Service
from ringfence_contracts.events.alarm import AlarmText
from ringfence_pbx.comparison import ClientProduct, InventoryItem
from suspender.store import ALARMS
from suspender.upkeep.store_inventory import read_times, request_read

PRODUCT_ALARM = "product-not-there"


class ComparisonInput(NamedTuple):
    """What is compared: (account, product as JSON), and the items and gaps of each server.

    `new`: accounts that changed after a server was read, as (server, account).
    """

    products: tuple[tuple[str, str], ...]
    items: Mapping[str, list[InventoryItem]]
    gaps: Mapping[str, list[str]]
    new: frozenset[tuple[str, str]]


class ComparisonStore:
    """The rows of the comparison loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_times(self) -> dict[str, datetime]:
        """When each server was last read as a whole."""
        return await read_times(self._pool)

    async def load(self) -> ComparisonInput:
        """All products, and all servers that were ever read, as of one instant."""
        async with self._pool.acquire() as acquired:
            connection = cast(Any, acquired)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                products = await connection.fetch(
                    "select account_id, product.value::text as product from suspender.account,"
                    " json_array_elements(profile -> 'services') as product"
                    " where profile is not null"
                )
                new = await connection.fetch(
                    "select server_id, account_id from suspender.account,"
                    " suspender.inventory_read where read_at is not null"
                    " and (profile ->> 'changed_at')::timestamptz > asked_at"
                )
                reads = await connection.fetch(
                    "select server_id, gaps from suspender.inventory_read where read_at is not null"
                )
                rows = await connection.fetch(
                    "select server_id, kind, tenant, name, uuid, label, enabled, leads_to"
                    " from suspender.inventory"
                )
        items: dict[str, list[InventoryItem]] = {row["server_id"]: [] for row in reads}
        for server_id, *item in rows:
            if server_id in items:
                items[server_id].append(InventoryItem(*item))
        return ComparisonInput(
            tuple((row["account_id"], row["product"]) for row in products),
            items,
            {row["server_id"]: row["gaps"] for row in reads},
            frozenset((row["server_id"], row["account_id"]) for row in new),
        )

    async def request_reads(self, server_ids: Collection[str], now: datetime) -> None:
        """Have these servers read again soon."""
        async with self._pool.acquire() as connection, connection.transaction():
            for server_id in server_ids:
                await request_read(connection, server_id, now)

    async def update_alarms(
        self, alarms: Mapping[str, AlarmText], undecided: Collection[str], now: datetime
    ) -> list[str]:
        """Have exactly these alarms open, by subject; those of `undecided` stay as they are.

        Gives the subjects of those that were raised now.
        """
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            rows = await connection.fetch(
                "select subject from suspender.alarm where key = $1 and ended_at is null",
                PRODUCT_ALARM,
            )
            for subject in {row["subject"] for row in rows} - alarms.keys() - set(undecided):
                await ALARMS.end_alarm(connection, PRODUCT_ALARM, subject, now)
            return [
                subject
                for subject, text in alarms.items()
                if await ALARMS.raise_alarm(connection, PRODUCT_ALARM, subject, text, now)
            ]


def products_of(rows: Iterable[tuple[str, str]]) -> list[ClientProduct]:
    """The products; one that cannot be parsed is left out: its account's events were rejected."""
    found = []
    for account_id, text in rows:
        try:
            found.append(ClientProduct(account_id, Service.model_validate(json.loads(text))))
        except (ValidationError, ValueError):
            continue
    return found
