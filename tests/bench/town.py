"""The whole product: all services, a simulated FusionPBX, and clients that the API is given."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid5

import httpx
from bed import Bed
from rich.console import Console

from ringfence_local.embedded.ports import free_port
from ringfence_local.private_file import write_private
from ringfence_local.processes.supervisor import Program, python_module
from ringfence_local.stack import Stack
from ringfence_local.state import secret_file
from ringfence_testing.wait import until

SERVER = "bench"
HOME = "home.example"
"""The domain of the api key's user."""

A_MINUTE_COSTS = 10
"""In the client's currency: one call decides which side of a threshold a balance is on."""

_SERVERS = """
[servers.bench]
kind = "fusionpbx"
url = "http://127.0.0.1:{port}"
host = "{home}"
api_key = {{ file = "{key}" }}
all_tenants = true
poll_s = {poll_s}
poll_rest_s = {poll_s}
push = {{ open = true }}
"""
_TARIFF = f"Description,Prefix,RateValue,Increment\nCanada and USA,1,{A_MINUTE_COSTS},60\n"
_AT_ONCE = 16
_AREAS = {"m": 416, "s": 519, "hg": 604, "he": 902, "p": 780}
POLL_S = 1.0


@dataclass(frozen=True)
class BenchClient:
    """A client with one product on a tenant of its own, with a trunk and a telephone."""

    number: int
    kind: str
    way: Literal["gateway", "extensions"] = "gateway"
    prepaid: bool = True
    opening: str = "20.00"
    threshold: str = ""
    hang_up: str = "credit"

    @property
    def account_id(self) -> str:
        """Its account, by which everything else of it is named."""
        return f"{self.kind}-{self.number}"

    @property
    def tenant(self) -> str:
        """Its domain on the PBX."""
        return f"{self.account_id}.example"

    @property
    def did(self) -> str:
        """Its number, which no other client has."""
        return f"{_AREAS[self.kind]}{self.number:07d}"

    @property
    def email(self) -> str:
        """Where its mails go."""
        return f"{self.account_id}@client.example"

    @property
    def gateway(self) -> str:
        """The uuid of its trunk."""
        return str(uuid5(NAMESPACE_DNS, f"trunk.{self.tenant}"))

    @property
    def extension(self) -> str:
        """The uuid of its telephone."""
        return str(uuid5(NAMESPACE_DNS, f"2112.{self.tenant}"))

    @property
    def element(self) -> str:
        """The uuid of what is switched off."""
        return self.gateway if self.way == "gateway" else self.extension


@dataclass(frozen=True)
class PbxCosts:
    """What the simulated PBX takes: each request, and each gateway that it lists."""

    latency_ms: int
    gateway_ms: int

    def __str__(self) -> str:
        return f"PBX {self.latency_ms} ms a request, {self.gateway_ms} ms a listed gateway"


def town_stack(folder: Path, *, console: bool = False) -> Stack:
    """All six services, and a PBX that is polled and posts; the brake is released."""
    pbx_port, push_port = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    key = secret_file(folder, "bench-pbx-key")
    user = {
        "name": "billing",
        "domain": HOME,
        "group": "superadmin",
        "api_key": key.read_text(encoding="utf-8").strip(),
    }
    seed = folder / "bench-pbx.json"
    write_private(seed, json.dumps({"users": [user]}))
    arguments = ["--port", str(pbx_port), "--seed", str(seed), "--rows-per-page", "100"]
    command = python_module("ringfence_simulators.fusionpbx", *arguments)
    return Stack(
        folder,
        wanted_ports={},
        console=console,
        extra_programs=[(Program("bench-pbx", command), pbx_port)],
        servers=_SERVERS.format(port=pbx_port, home=HOME, key=key, poll_s=POLL_S),
        environment={
            "RINGFENCE_CDR_INGEST_PUSH_PORT": str(push_port),
            "RINGFENCE_SUSPENDER_BRAKE_CLIENTS": "0",
        },
    )


class Town:
    """Clients, by the API; the PBX, by its controls."""

    def __init__(self, bed: Bed, console: Console) -> None:
        self.bed = bed
        self.console = console
        limits = httpx.Limits(max_connections=_AT_ONCE)
        self._api = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{bed.stack.ports['accounts']}/v1",
            headers={"Authorization": f"Bearer {bed.stack.api_token}"},
            timeout=60,
            limits=limits,
            trust_env=False,
        )
        pbx_url = f"http://127.0.0.1:{bed.stack.ports['bench-pbx']}"
        self._pbx = httpx.AsyncClient(base_url=pbx_url, timeout=60, trust_env=False)
        self._has_package = False
        self.known: set[str] = set()
        self.gateways: set[str] = set()

    async def __aenter__(self) -> "Town":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.aclose()
        await self._pbx.aclose()

    @property
    def push_url(self) -> str:
        """Where the PBX posts its calls."""
        return f"http://127.0.0.1:{self.bed.stack.ports['push']}/cdr/{SERVER}/json"

    async def pbx(self, method: str, path: str, body: object = None) -> Any:
        """A control of the simulated PBX."""
        answer = await self._pbx.request(method, f"/_sim/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def slow_down(self, costs: PbxCosts) -> None:
        """Let the PBX take its time from now on, and count its requests from zero."""
        taken = {"latency_s": costs.latency_ms / 1000, "row_s": costs.gateway_ms / 1000}
        await self.pbx("PUT", "switch", taken)
        await self.pbx("DELETE", "requests")

    async def settle(self, clients: Sequence[BenchClient]) -> None:
        """Put the clients on the PBX and into accounts, and wait until every service knows them."""
        self.console.print(f"Entering {len(clients):,} clients…")
        await self._enter_package()
        await self.pbx("POST", "seed", _seed(clients))
        slots = asyncio.Semaphore(_AT_ONCE)
        known = await self._known()
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(self._enter(client, slots))
        wanted = [count + len(clients) for count in known]
        await until(lambda: self._has(wanted), every_s=0.2, timeout_s=300, what="all are known")
        self.known |= {client.account_id for client in clients}
        self.gateways |= {client.gateway for client in clients}

    async def _has(self, wanted: list[int]) -> bool:
        return all(have >= want for have, want in zip(await self._known(), wanted, strict=True))

    async def _known(self) -> list[int]:
        """Products that the suspender knows, and accounts with entries in the ledger."""
        row = await self.bed.database.fetchrow(
            "select (select count(*) from suspender.service) as services,"
            " (select count(*) from rating.account where version > 0) as accounts"
        )
        assert row is not None
        return list(row)

    async def _enter_package(self) -> None:
        if self._has_package:
            return
        self._has_package = True
        published = await self._api.post(
            "/tariffs/bench/versions",
            params={"currency": "CAD", "effective_from": "2026-01-01T00:00:00Z"},
            content=_TARIFF.encode(),
            headers={"Content-Type": "text/csv"},
        )
        published.raise_for_status()
        await self._put("/packages/bench", {"tariff_id": "bench"})

    async def _enter(self, client: BenchClient, slots: asyncio.Semaphore) -> None:
        async with slots:
            await self._put(
                f"/clients/{client.account_id}",
                {
                    "first_name": "Bench",
                    "email": client.email,
                    "currency": "CAD",
                    "has_voip_service": "yes",
                    "low_balance_threshold": client.threshold,
                    "opening_balance": client.opening,
                },
            )
            await self._put(
                f"/clients/{client.account_id}/products/pbx-{client.account_id}",
                {
                    "kind": "fusionpbx",
                    "server_id": SERVER,
                    "name": "PBX",
                    "prepaid": client.prepaid,
                    "package": "bench",
                    "bill_from": "2026-01-01T00:00:00Z",
                    "domain_tenant_and_main_dids": f"{client.tenant} | {client.did}",
                    "extensions": "2112",
                    "suspend_by": client.way,
                    "hang_up": client.hang_up,
                    "gateway_ids": client.gateway if client.way == "gateway" else "",
                },
            )

    async def _put(self, path: str, body: object) -> None:
        answer = await self._api.put(path, json=body)
        if answer.is_error:
            raise RuntimeError(f"PUT {path}: {answer.status_code} {answer.text[:300]}")

    async def top_up(self, client: BenchClient, amount: str, key: str) -> None:
        """A payment that the API has accepted when this returns."""
        answer = await self._api.post(
            f"/clients/{client.account_id}/payments",
            json={"amount": amount, "reference": "bench"},
            headers={"Idempotency-Key": key},
        )
        answer.raise_for_status()

    def mails(self) -> dict[str, float]:
        """When the newest mail to each address was accepted by the SMTP server, in Unix seconds."""
        accepted = {}
        for path in sorted(self.bed.stack.inbox.folder.glob("*.eml")):
            recipient = str(message_from_bytes(path.read_bytes())["To"])
            accepted[recipient.strip("<>")] = path.stat().st_mtime
        return accepted


def _seed(clients: Sequence[BenchClient]) -> dict[str, list[dict[str, str]]]:
    return {
        "domains": [{"name": client.tenant} for client in clients],
        "gateways": [
            {"name": client.tenant, "uuid": client.gateway, "domain": client.tenant}
            for client in clients
            if client.way == "gateway"
        ],
        "extensions": [
            {"number": "2112", "uuid": client.extension, "domain": client.tenant}
            for client in clients
        ],
    }
