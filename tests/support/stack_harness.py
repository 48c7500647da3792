"""A running stack for end-to-end tests, with its API, its database and its mails."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from ringfence_local.demo.sample import SampleApi, SampleClient, add_client, load_sample
from ringfence_local.stack import Stack


@dataclass
class StackHarness:
    """The stack, a client of its API, and direct access to the database."""

    stack: Stack
    door: SampleApi

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.stack.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def one(self, query: str, *arguments: object) -> Any:
        (row,) = await self.sql(query, *arguments)
        return row[0]

    async def balance(self, client: SampleClient) -> int:
        return int(
            await self.one(
                "select coalesce(max(balance_micro), 0) from rating.account where account_id = $1",
                client.account_id,
            )
        )

    async def move_in(self, client: SampleClient) -> None:
        """Create a client. On return its opening balance and its product are accepted."""
        await load_sample(self.door, [])
        await add_client(self.door, client)

    def mails(self, client: SampleClient) -> list[str]:
        """Subjects of the client's mails."""
        return [
            str(message["Subject"]).partition(":")[0]
            for message in self.stack.inbox.messages()
            if str(message["To"]).endswith(client.tenant)
        ]

    async def trunk(self, client: SampleClient) -> tuple[bool, bool]:
        """The client's trunk on the PBX: its stored flag, and whether it is live."""
        state = await self.door.pbx_state()
        (found,) = (g for g in state["gateways"] if g["uuid"] == client.gateway_id)
        return found["enabled"], found["live"]
