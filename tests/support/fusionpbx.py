"""A simulated FusionPBX with two tenants, and what speaks to it."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence_contracts.events.account import Service
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.servers import FusionPbxServer
from ringfence_simulators.fusionpbx.access.logins import ReleaseLine
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator, serve
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.seed import apply_seed
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    PbxDriver,
    SwitchDone,
    SwitchTarget,
)
from suspender.rules.elements import Element, elements_of
from tests.support.narrow import expect, present

FIXTURES = Path(__file__).parents[1] / "fixtures" / "fusionpbx-5.5"
MCON, RUCKEN = "mcon.wat5.ictvoip.ca", "rucken.wat7.ictvoip.ca"
SUPER_KEY = "superadmin-key/with+odd&chars=0123456789"
ADMIN_KEY = "admin-key-of-mcon-0123456789-0123456789"
NOON = 1795256400.0
"""2026-11-21 10:20:00 UTC; the simulated clock does not move unless a test moves it."""


SEED: dict[str, Any] = {
    "domains": [{"name": MCON}, {"name": RUCKEN}],
    "users": [
        {"name": "super", "domain": MCON, "group": "superadmin", "api_key": SUPER_KEY},
        {"name": "admin", "domain": MCON, "group": "admin", "api_key": ADMIN_KEY},
    ],
    "gateways": [
        {"name": "Trunk A", "domain": MCON},
        {"name": "Trunk B", "domain": RUCKEN},
    ],
    "extensions": [
        {"number": "2112", "domain": MCON, "gateway": "Trunk A"},
        {"number": "2113", "domain": MCON, "gateway": "Trunk A"},
        {"number": "2112", "domain": RUCKEN, "gateway": "Trunk B"},
    ],
}


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> float:
        return self.at


@asynccontextmanager
async def simulated(
    monkeypatch: pytest.MonkeyPatch,
    *,
    line: ReleaseLine = "5.5",
    rows_per_page: int = 50,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[FusionPbxSimulator]:
    """The simulator on a free port; both keys are in the environment."""
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.setenv("TEST_FUSIONPBX_ADMIN", ADMIN_KEY)
    pbx = SimulatedFusionPbx(now=clock or Clock())
    apply_seed(pbx, SEED)
    async with serve(pbx, line=line, rows_per_page=rows_per_page) as simulator:
        yield simulator


@asynccontextmanager
async def simulator_process(folder: Path, *options: str) -> AsyncIterator[str]:
    """The simulator as its own process, with the same seed; gives its URL."""
    seed = folder / "seed.json"
    seed.write_text(json.dumps(SEED))
    command = [sys.executable, "-m", "ringfence_simulators.fusionpbx", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, "--seed", str(seed), *options, stdout=asyncio.subprocess.PIPE
    )
    try:
        said = (await asyncio.wait_for(present(process.stdout).readline(), 120)).decode()
        yield said.split()[-1]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 120) == 0
        process._transport.close()  # type: ignore[attr-defined]


def server_of(
    url: str, *, superadmin: bool = True, env: str | None = None, **settings: Any
) -> FusionPbxServer:
    """The servers file's entry: all tenants with a superadmin's key, or one tenant's admin."""
    defaults: dict[str, Any] = (
        {"host": MCON, "all_tenants": True} if superadmin else {"tenants": (MCON,)}
    )
    name = env or ("TEST_FUSIONPBX_SUPER" if superadmin else "TEST_FUSIONPBX_ADMIN")
    return FusionPbxServer.model_validate(
        {
            "kind": "fusionpbx",
            "url": url,
            "api_key": {"env": name},
            "timeout_s": 5,
            **defaults,
            **settings,
        }
    )


def session_at(
    url: str, *, superadmin: bool = True, host: str = MCON, **settings: Any
) -> FusionPbxSession:
    """A session of the superadmin, or of one tenant's admin."""
    server = server_of(url, superadmin=superadmin, **settings)
    return FusionPbxSession("pbx-1", server, host=host)


def service_of(
    simulator: FusionPbxSimulator, suspend_by: str = "extensions", **changed: Any
) -> Service:
    """A product of the first tenant: extension 2112, trunk A."""
    gateway = next(g.uuid for g in simulator.pbx.gateways.values() if g.name == "Trunk A")
    return Service.model_validate(
        {
            "service_id": "svc-1",
            "name": "VoIP",
            "kind": "fusionpbx",
            "server_id": "pbx-1",
            "tenant": MCON,
            "extensions": ("2112",),
            "suspend_by": suspend_by,
            "gateway_ids": (gateway,) if suspend_by == "gateway" else (),
            **changed,
        }
    )


def can_call(simulator: FusionPbxSimulator, number: str = "2112", domain: str = MCON) -> bool:
    """Whether the extension could place an outbound call now."""
    return simulator.pbx.can_call(present(simulator.pbx.find_extension(number, domain)))[0]


def outbound(**changed: Any) -> dict[str, Any]:
    """A finished outbound call of 60 s by extension 2112."""
    return {
        "domain_name": MCON,
        "direction": "outbound",
        "extension": "2112",
        "caller_destination": "14165550100",
        "destination_number": "14165550100",
        "billsec": 60,
        **changed,
    }


async def outcomes_of(
    driver: PbxDriver, *services: Service, off: bool, values: dict[str, str] | None = None
) -> dict[Element, SwitchDone | Failure]:
    """Bring all elements of the services off or on; what came of each, by element."""
    targets = [SwitchTarget(element, s) for s in services for element in elements_of(s)]
    outcomes: dict[Element, SwitchDone | Failure] = {}
    changes: list[ElementChange] = []
    for target, reading in zip(targets, await readings_of(driver, *services), strict=True):
        if isinstance(reading, Exception):
            outcomes[target.element] = reading
        else:
            value = (values or {}).get(target.element.name, "")
            changes.append(ElementChange(target, off, reading, value))
    outcomes |= dict(await driver.switch(changes)) if changes else {}
    return {target.element: outcomes[target.element] for target in targets}


async def readings_of(driver: PbxDriver, *services: Service) -> list[ElementReading | Failure]:
    """What the driver reads of the elements of the services, in their order."""
    targets = [SwitchTarget(element, s) for s in services for element in elements_of(s)]
    readings = await driver.read(targets)
    return [readings[target.element] for target in targets]


async def states_of(driver: PbxDriver, *services: Service) -> list[str]:
    """The states of the elements of the services, in their order."""
    return [
        expect(ElementReading, reading).state for reading in await readings_of(driver, *services)
    ]


async def suspend(driver: PbxDriver, service: Service) -> str:
    """Bring a service off; the evidence. Raises the first failure of an element."""
    return evidence_in(await outcomes_of(driver, service, off=True))


async def restore(
    driver: PbxDriver, service: Service, *, values: dict[str, str] | None = None
) -> str:
    """Bring a service on; the evidence. Raises the first failure of an element."""
    return evidence_in(await outcomes_of(driver, service, off=False, values=values))


def evidence_in(outcomes: Mapping[Element, SwitchDone | Failure]) -> str:
    """The texts of what was done, one a line. Raises the first failure."""
    done = []
    for outcome in outcomes.values():
        if isinstance(outcome, Exception):
            raise outcome
        done.append(outcome.evidence)
    return "\n".join(done)


def requests_to(pbx: FusionPbxSimulator, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each page is asked for from now on."""
    seen: Counter[str] = Counter()
    real = pbx.faults.take

    def noting(path: str) -> Any:
        seen[path] += 1
        return real(path)

    monkeypatch.setattr(pbx.faults, "take", noting)
    return seen
