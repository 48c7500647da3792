"""Two clients with calls, and one's session: who tries to see the other sees nothing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from ringfence_testing.records import account, call
from tests.support.accounts import CARD, FUSIONPBX, RunningApi
from tests.support.explained import Explained, open_explained
from tests.support.rating import payment

MINE, OTHER = "1001", "secret-other"
OTHERS = (OTHER, "Zorro", "zorro@example.org", "otherreference", "14165559999", "15195559999")
"""What is the other client's alone: no answer in a session of the first may hold any of it."""

MY_NUMBER = "14165550100"


@dataclass
class ClientPages:
    """The API with the two clients; `mine` and `others` are their calls."""

    explained: Explained
    mine: UUID
    others: UUID

    @property
    def api(self) -> RunningApi:
        """The API."""
        return self.explained.api

    async def link(self, account_id: str = MINE, **body: object) -> str:
        """The secret of a new link."""
        return await self.api.link(account_id, **body)

    async def open(self, link: str) -> httpx.Response:
        """Open a session by a link."""
        return await self.api.http.post("/v1/client-sessions", json={"link": link})

    async def session(self, account_id: str = MINE, **body: object) -> "OwnSession":
        """A session of a client."""
        return OwnSession(self.api.http, await self.api.session(account_id, **body))


@dataclass(frozen=True)
class OwnSession:
    """Asks the API with a client's session."""

    http: httpx.AsyncClient
    secret: str

    async def ask(
        self, method: str, path: str, body: object = None, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer to a request below /v1."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        return await self.http.request(
            method, f"/v1{path}", json=body, params=params, headers=headers
        )

    async def get(self, path: str, **params: str) -> Any:
        """What a question is answered with."""
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()


@asynccontextmanager
async def client_pages(database: str) -> AsyncIterator[ClientPages]:
    """Both clients have a product, a payment and a rated call."""
    async with open_explained(database) as explained:
        api, bench = explained.api, explained.bench
        # The bench's own version has the number 1.
        await api.database.execute("alter table accounts.tariff_version alter version_id restart 9")
        assert (await api.import_card(CARD)).is_success
        package = {
            "tariff_id": "retail", "markup_percent": "150", "connection_fee": "0.05",
        }  # fmt: skip
        await api.put("packages/retail", package)
        # In accounts for what is shown of products and prices, in rating for what calls cost.
        await api.put(
            f"clients/{MINE}/products/svc-{MINE}",
            {**FUSIONPBX, "package": "retail", "name": "My telephones"},
        )
        await api.client(OTHER, first_name="Zorro", email="zorro@example.org", company_name="Zorro")
        await bench.save_accounts(
            account(version=2, package={"markup_percent": "150", "connection_fee": "0.05"}),
            account(OTHER, tenant="other.example", extensions=("3113",), dids=("15195559999",)),
        )
        await bench.pay(
            payment("k", 20_000_000, MINE, reference="my cheque"),
            payment("k", 30_000_000, OTHER, reference="otherreference"),
        )
        mine = call(1, billsec=90, destination_number=MY_NUMBER)
        others = call(2, tenant="other.example", extension="3113", destination_number="14165559999")
        await bench.rate(mine, others)
        yield ClientPages(explained, mine.call_id, others.call_id)
