"""Sample clients of a small telephone company on the simulated PBX; all names are fictitious.

They are created through the REST API that operators use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Protocol
from uuid import NAMESPACE_DNS, uuid5

import httpx

from ringfence_local.demo.scene import PBX_ID
from ringfence_local.errors import StackError

TARIFF = "north"
PACKAGE = "prepaid"
BILL_FROM = "2026-01-01T00:00:00Z"
"""Simulated calls are in the past, so products bill from before they were created."""

TARIFF_CSV = """\
Description,Prefix,RateValue,Increment
Canada and USA,1,0.012,6
Canada toll free,1800,0,60
Canada toll free,1888,0,60
Yukon,1867,0.045,30/6
United Kingdom,44,0.018,60
United Kingdom mobile,447,0.029,60
France,33,0.016,1
Germany,49,0.017,1
Burkina Faso,226,0.42,60
Senegal,221,0.39,60
Emergency,911,0,60
Satellite,881,1.5,60
Satellite,8816,1.5,60
"""


@dataclass(frozen=True)
class SampleClient:
    """A client with one product on its own tenant."""

    account_id: str
    first_name: str
    last_name: str
    company: str
    tenant: str
    did: str
    extensions: tuple[str, ...]
    opening: str
    threshold: str = "15"
    suspend_by: str = "gateway"
    prepaid: bool = True

    @property
    def gateway_id(self) -> str:
        """The uuid of its trunk on the PBX, the same at every start."""
        return str(uuid5(NAMESPACE_DNS, f"trunk.{self.tenant}"))

    @property
    def service_id(self) -> str:
        """The id of its product."""
        return f"pbx-{self.account_id}"


CLIENTS: tuple[SampleClient, ...] = (
    SampleClient(
        "1001", "Ada", "North", "Maple Dental", "maple.voip.example", "5195550111",
        ("2112", "2113"), "20.00",
    ),
    SampleClient(
        "1002", "Ben", "Frost", "Frost & Daughters", "frost.voip.example", "4165550122",
        ("301", "302", "303"), "15.40",
    ),
    SampleClient(
        "1003", "Chloe", "Roy", "Roy Couriers", "roy.voip.example", "6045550133", ("41", "42"),
        "1.20", suspend_by="extensions",
    ),
    SampleClient(
        "1004", "Dev", "Lake", "", "lake.voip.example", "5195550144", ("700",), "60.00",
        threshold="",
    ),
    SampleClient(
        "1005", "Eve", "Hill", "Hill Wholesale", "hill.voip.example", "4165550155",
        ("801", "802"), "5.00", prepaid=False,
    ),
)  # fmt: skip


class Reachable(Protocol):
    """The addresses of the API and the simulated PBX: a `Stack`, or `Addresses`."""

    @property
    def api_url(self) -> str: ...  # noqa: D102 - see the class

    @property
    def api_token(self) -> str: ...  # noqa: D102

    @property
    def pbx_url(self) -> str: ...  # noqa: D102


class Mails(Protocol):
    """A mail sink."""

    def messages(self) -> list[EmailMessage]: ...  # noqa: D102 - the accepted mails, oldest first


class Watchable(Reachable, Protocol):
    """A stack whose mails can be read as well."""

    @property
    def inbox(self) -> Mails: ...  # noqa: D102


class SampleApi:
    """A client of the REST API and of the simulated PBX's controls. Raises StackError on errors."""

    def __init__(self, stack: Reachable) -> None:
        self._api = httpx.AsyncClient(
            base_url=f"{stack.api_url}/v1",
            headers={"Authorization": f"Bearer {stack.api_token}"},
            timeout=30,
            trust_env=False,
        )
        self._pbx = httpx.AsyncClient(base_url=stack.pbx_url, timeout=30, trust_env=False)

    async def __aenter__(self) -> "SampleApi":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.aclose()
        await self._pbx.aclose()

    async def ask(self, path: str) -> Any:
        """GET a path of the API."""
        return _answer(await self._api.get(path))

    async def post(self, path: str, body: object) -> Any:
        """POST to a path of the API."""
        return _answer(await self._api.post(path, json=body))

    async def put(self, path: str, body: object) -> Any:
        """PUT to a path of the API."""
        return _answer(await self._api.put(path, json=body))

    async def patch(self, path: str, body: object) -> Any:
        """PATCH a path of the API."""
        return _answer(await self._api.patch(path, json=body))

    async def top_up(self, account_id: str, amount: str, key: str) -> Any:
        """Enter a payment; the same key again changes nothing."""
        return _answer(
            await self._api.post(
                f"/clients/{account_id}/payments",
                json={"amount": amount, "reference": "sample"},
                headers={"Idempotency-Key": key},
            )
        )

    async def publish_tariff(self, csv: str) -> None:
        """Publish a tariff version that is effective from the beginning of the year."""
        answer = await self._api.post(
            f"/tariffs/{TARIFF}/versions",
            params={"currency": "CAD", "effective_from": "2026-01-01T00:00:00Z"},
            content=csv.encode(),
            headers={"Content-Type": "text/csv"},
        )
        _answer(answer)

    async def pbx(self, path: str, body: object) -> Any:
        """POST to a control of the simulated PBX."""
        return _answer(await self._pbx.post(f"/_sim/{path}", json=body))

    async def pbx_state(self) -> Any:
        """The state of the simulated PBX."""
        return _answer(await self._pbx.get("/_sim/state"))


def _answer(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise StackError(f"{answer.request.method} {answer.request.url.path}: {answer.text[:500]}")
    return answer.json()


async def load_sample(api: SampleApi, clients: Sequence[SampleClient] = CLIENTS) -> bool:
    """Create tariff, package and clients, unless a package exists; returns whether it did."""
    if (await api.ask("/packages"))["items"]:
        return False
    await api.publish_tariff(TARIFF_CSV)
    await api.put(
        f"/packages/{PACKAGE}",
        {
            "tariff_id": TARIFF,
            "markup_percent": "120",
            "inbound_enabled": "yes",
            "custom_inbound_rate": "0.0049",
            "custom_inbound_increment": "6/6",
            "not_billed": ["911", "1800xxxxxxx"],
        },
    )
    for client in clients:
        await add_client(api, client)
    return True


async def add_client(api: SampleApi, client: SampleClient) -> None:
    """Create a client with opening balance, product, and trunk and extensions on the PBX."""
    await api.pbx("seed", pbx_seed(client))
    await api.put(
        f"/clients/{client.account_id}",
        {
            "first_name": client.first_name,
            "last_name": client.last_name,
            "company_name": client.company,
            "email": f"{client.first_name.lower()}@{client.tenant}",
            "currency": "CAD",
            "time_zone": "America/Toronto",
            "has_voip_service": "yes",
            "low_balance_threshold": client.threshold,
            "opening_balance": client.opening,
        },
    )
    await api.put(
        f"/clients/{client.account_id}/products/{client.service_id}",
        {
            "kind": "fusionpbx",
            "server_id": PBX_ID,
            "name": f"{client.company or client.last_name} PBX",
            "prepaid": client.prepaid,
            "package": PACKAGE,
            "bill_from": BILL_FROM,
            "domain_tenant_and_main_dids": f"{client.tenant} | {client.did}",
            "extensions": " | ".join(client.extensions),
            "suspend_by": client.suspend_by,
            "gateway_ids": client.gateway_id,
        },
    )


def pbx_seed(client: SampleClient) -> dict[str, Any]:
    """The seed of the simulated PBX for the client: domain, trunk and extensions."""
    return {
        "domains": [{"name": client.tenant}],
        "gateways": [{"name": client.tenant, "uuid": client.gateway_id, "domain": client.tenant}],
        "extensions": [
            {
                "number": number,
                "domain": client.tenant,
                "gateway": client.gateway_id,
                "caller_name": client.first_name,
                "caller_number": f"1{client.did}",
            }
            for number in client.extensions
        ],
    }
