"""The suspender's rows that the loops of upkeep read, written without its pipeline."""

import json
from typing import Any
from uuid import uuid4

import asyncpg

from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.events.alarm import Alarm
from ringfence_testing.records import account
from suspender.rules.elements import Element, elements_of


class SuspenderTables:
    """The suspender's tables."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self._dsn = dsn
        self.pool = pool

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a statement as the database's owner."""
        connection = await asyncpg.connect(self._dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: object) -> Any:
        """The single value of a query."""
        ((found,),) = await self.sql(query, *arguments)
        return found

    async def client(self, account_id: str = "1001", **fields: Any) -> AccountChanged:
        """Write a client's profile as the decider does, and the elements that the products name."""
        profile = account(account_id, version=1, **{"orders": (), **fields})
        await self.sql(
            "insert into suspender.account (account_id, profile, profile_version)"
            " values ($1, $2, 1)",
            account_id,
            profile.to_json().decode(),
        )
        for product in profile.services:
            for element in elements_of(product):
                await self.name(account_id, product.service_id, element, product.server_id)
        return profile

    async def name(
        self, account_id: str, service_id: str, element: Element, server_id: str = "pbx1"
    ) -> None:
        """Write that a product names an element."""
        await self.sql(
            "insert into suspender.named_element values ($1, $2, $3, $4, $5, $6)",
            account_id,
            service_id,
            server_id,
            *element,
        )

    async def service(
        self, account_id: str, product: Service, *, off: bool = True, due: bool = False, **more: Any
    ) -> None:
        """Write a service that was confirmed an hour ago; `due`: with a newer desired state."""
        columns = {
            "account_id": account_id,
            "service_id": product.service_id,
            "server_id": product.server_id,
            "kind": product.kind,
            "mode": "auto",
            "cause_id": uuid4(),
            "wanted": "suspended" if off else "active",
            "wanted_seq": 2 if due else 1,
            "confirmed": "suspended" if off else "active",
            "confirmed_seq": 1,
            "product": product.to_json().decode(),
            **more,
        }
        row = {key: value for key, value in columns.items() if value is not None}
        await self.sql(
            f"insert into suspender.service ({', '.join(row)}, confirmed_at)"
            f" values ({', '.join(f'${number + 1}' for number in range(len(row)))},"
            " now() - interval '1 hour')",
            *row.values(),
        )

    async def record(
        self,
        element: Element,
        owner: tuple[str, str] = ("a", "s"),
        *,
        was_on: bool = True,
        confirmed: bool = True,
        server_id: str = "pbx1",
    ) -> None:
        """Write that we switched an element off an hour ago."""
        await self.sql(
            "insert into suspender.switched_off (server_id, way, tenant, element, account_id,"
            " service_id, was_on, recorded_at, confirmed_at) values ($1, $2, $3, $4, $5, $6, $7,"
            " now() - interval '1 hour',"
            " case when $8 then now() - interval '1 hour' end)",
            server_id,
            *element,
            *owner,
            was_on,
            confirmed,
        )

    async def published(self) -> list[Alarm]:
        """The alarms that were published, in order."""
        rows = await self.sql("select topic, value from suspender.outbox order by id")
        return [
            Alarm.model_validate(json.loads(row["value"]))
            for row in rows
            if row["topic"] == "suspender.alarm.v1"
        ]

    async def alarms(self) -> list[tuple[str, str, str]]:
        """Key, subject and state of the alarms that were published, in order."""
        return [(each.key, each.subject, each.state) for each in await self.published()]
