"""Rating and the API on one database: what rating stored is explained by the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.accounts import RunningApi, running_api
from tests.support.commands import Operator
from tests.support.rating import Bench, open_bench


@dataclass
class Explained:
    """Rating's bench, and the API that explains what it stored."""

    bench: Bench
    api: RunningApi

    @property
    def operator(self) -> Operator:
        """Runs commands against the API."""
        return Operator(self.api)

    async def call(self, name: str) -> dict[str, Any]:
        """The explanation of a call."""
        answer = await self.api.http.get(f"/v1/calls/{name}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def words(self, name: str) -> str:
        """The explanation of a call as one text: `label text label text …`."""
        lines = (await self.call(name))["lines"]
        return " ".join(f"{line['label']} {line['text']}" for line in lines)

    async def statement(self, account_id: str = "1001", **asked: object) -> dict[str, Any]:
        """An account's statement."""
        path = f"/v1/clients/{account_id}/statement"
        answer = await self.api.http.get(path, params={k: str(v) for k, v in asked.items()})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def open_explained(database: str) -> AsyncIterator[Explained]:
    """Rating with a tariff and client 1001, whom accounts has too, without an opening balance."""
    async with open_bench(database) as bench, running_api(database) as api:
        await api.client("1001")
        yield Explained(bench, api)
