"""The API for tests: the real application on a socket, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import orjson

from accounts.access.tokens import parse_tokens
from accounts.api.app import create_app
from accounts.installation.servers import ServerDirectory
from accounts.store import AccountStore
from ringfence.clock import Clock, SystemClock
from ringfence.listening.asgi_server import AsgiServer
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.account import OperatingMode
from ringfence_testing.wait import until

TOKEN = "a-token-for-tests"
LINK_KEY = b"a key of links for tests"
PAGE_URL = "https://my.example.net"
CLIENT = {
    "first_name": "Anna",
    "last_name": "Berg",
    "email": "anna@example.com",
    "currency": "CAD",
    "time_zone": "America/Toronto",
    "has_voip_service": "Yes",
    "low_balance_threshold": "$15",
}
FUSIONPBX = {
    "kind": "fusionpbx",
    "server_id": "wat5",
    "name": "Hosted PBX",
    "domain_tenant_and_main_dids": "mcon.wat5.ictvoip.ca | 5192229000",
    "extensions": "2112 | 2113 | 2114 | 2115 | 2216",
}
CARD = (
    "Description,Prefix,RateValue,Increment\n"
    "Canada,1,0.0100,6\n"
    "Toronto,1416,.008,30/6\n"
    "Albania,35544416,0.54401,60\n"
)


@dataclass
class RunningApi:
    """A running API, and its database."""

    http: httpx.AsyncClient
    url: str
    store: AccountStore
    database: "asyncpg.Connection[asyncpg.Record]"

    async def client(self, account_id: str = "anna", **changes: object) -> dict[str, Any]:
        """Put a client; returns the response."""
        return await self.put(f"clients/{account_id}", {**CLIENT, **changes})

    async def put(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Put a body that is accepted; returns the response."""
        answer = await self.http.put(f"/v1/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, path: str, body: object, status: int = 422) -> dict[str, Any]:
        """Put a body that is refused with `status`; returns the error."""
        answer = await self.http.put(f"/v1/{path}", json=body)
        assert answer.status_code == status, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return error

    async def published(self, topic: str) -> list[dict[str, Any]]:
        """The events in the outbox for a topic, the oldest first."""
        rows = await self.database.fetch(
            "select value from accounts.outbox where topic = $1 order by id", topic
        )
        return [orjson.loads(row["value"]) for row in rows]

    async def pay(self, key: str, body: Mapping[str, object], who: str = "anna") -> httpx.Response:
        """Post a payment."""
        headers = {"Idempotency-Key": key}
        return await self.http.post(f"/v1/clients/{who}/payments", json=body, headers=headers)

    async def link(self, who: str = "anna", **body: object) -> str:
        """The secret of a new link to a client's own page."""
        answer = await self.http.post(f"/v1/clients/{who}/links", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret"])

    async def session(self, who: str = "anna", **body: object) -> str:
        """The secret of a new session of a client."""
        link = await self.link(who, **body)
        answer = await self.http.post("/v1/client-sessions", json={"link": link})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret"])

    async def import_card(self, text: str = CARD, tariff: str = "retail") -> httpx.Response:
        """Post a tariff file in Canadian dollars."""
        return await self.http.post(
            f"/v1/tariffs/{tariff}/versions", params={"currency": "CAD"}, content=text.encode()
        )


@asynccontextmanager
async def running_api(
    dsn: str,
    *,
    servers: ServerDirectory | None = None,
    default_mode: OperatingMode = "live",
    clock: Clock | None = None,
    pages: bool = True,
) -> AsyncIterator[RunningApi]:
    """Serve the API on a free port, with one user, on the database `dsn`.

    Without `servers`, products may name any server; without `pages`, clients have no own pages.
    """
    pool = await open_pool(dsn, service="accounts", size=8)
    clock = clock or SystemClock()
    store = AccountStore(pool, clock)
    app = create_app(
        users=parse_tokens(f"tester:{TOKEN}"),
        clock=clock,
        pool=pool,
        servers=servers,
        default_mode=default_mode,
        link_key=LINK_KEY if pages else None,
        page_url=PAGE_URL if pages else "",
    )
    server = AsgiServer(app, host="127.0.0.1", port=0, progress=Health().loop("api"))
    stop = asyncio.Event()
    serving = asyncio.create_task(server.run(stop))
    await until(lambda: bool(server.url) or serving.done(), timeout_s=10)
    database = await asyncpg.connect(dsn)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
            yield RunningApi(http, server.url, store, database)
    finally:
        stop.set()
        await serving
        await database.close()
        await pool.close()
