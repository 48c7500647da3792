"""A simulated Vodia with two tenants, and the clients of tests."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from cdr_ingest.sources.source import BadRow, BLeg, record_id
from cdr_ingest.vodia.source import VodiaSource
from ringfence_contracts.events.account import Service
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.servers import VodiaServer
from ringfence_simulators.vodia.app import VodiaSimulator, serve
from ringfence_simulators.vodia.model import Habits, SimulatedVodia
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    SwitchDone,
    SwitchTarget,
)
from suspender.drivers.vodia.driver import VodiaDriver
from suspender.rules.elements import Element, elements_of
from tests.support.fusionpbx import NOON, Clock

CFFM, RUCKEN = "cffm.wat1.ictvoip.ca", "rucken.wat7.ictvoip.ca"
PASSWORD = "pass/with+odd&chars:0123456789"
SEED: dict[str, list[dict[str, Any]]] = {
    "accounts": [
        {"name": "admin", "password": PASSWORD},
        {"name": f"admin@{CFFM}", "password": PASSWORD, "tenant": CFFM},
        {"name": "no-api", "password": PASSWORD, "api": False},
    ],
    "trunks": [
        {"id": "10", "name": "Trunk A", "domain": CFFM},
        {"id": "11", "name": "Trunk B", "domain": RUCKEN, "disabled": "false", "shared": "false"},
        {"id": "12", "name": "Everybody's", "domain": RUCKEN, "shared": "true"},
    ],
    "extensions": [
        {"number": "2112", "domain": CFFM, "name": "CFFM Kitchener", "trunk": "10"},
        {"number": "2113", "domain": CFFM, "trunk": "10"},
        {"number": "2112", "domain": RUCKEN, "trunk": "11"},
    ],
}


@asynccontextmanager
async def simulated(
    monkeypatch: pytest.MonkeyPatch, *, clock: Callable[[], float] | None = None, **habits: Any
) -> AsyncIterator[VodiaSimulator]:
    """The simulator on a free port; the password is in the environment."""
    monkeypatch.setenv("TEST_VODIA_PASSWORD", PASSWORD)
    pbx = SimulatedVodia(now=clock or Clock(), habits=Habits(**habits))
    pbx.add(SEED)
    async with serve(pbx) as simulator:
        yield simulator


def server_of(url: str, **settings: Any) -> VodiaServer:
    """The servers file's entry."""
    return VodiaServer.model_validate(
        {
            "kind": "vodia",
            "url": url,
            "user": "admin",
            "password": {"env": "TEST_VODIA_PASSWORD"},
            "tenants": (CFFM, RUCKEN),
            "timeout_s": 5,
            **settings,
        }
    )


class Taken:
    """The records accepted so far, in place of cdr-ingest's store."""

    def __init__(self) -> None:
        self.ids: set[UUID] = set()

    async def known(self, ids: Collection[UUID]) -> set[UUID]:
        return self.ids & set(ids)

    async def read(
        self,
        source: VodiaSource,
        *,
        start: int = int(NOON) - 3600,
        stop: int = int(NOON) + 3600,
        tenant: str = CFFM,
    ) -> list[CallCompleted | BLeg | BadRow]:
        """One read, all of it accepted, as the poller does; gives what was new."""
        async with aclosing(source.records(tenant, start, stop)) as found:
            records = [record async for record in found]
        ids = [record_id(record) for record in records]
        assert len(ids) == len(set(ids)), "no record is given twice in one read"
        new = [record for record in records if record_id(record) not in self.ids]
        self.ids |= set(ids)
        return new


@asynccontextmanager
async def source_at(url: str, taken: Taken, **settings: Any) -> AsyncIterator[VodiaSource]:
    """A source that asks `taken` what is known."""
    source = VodiaSource("pbx-2", server_of(url, **settings), find_known=taken.known)
    try:
        yield source
    finally:
        await source.aclose()


def service_of(suspend_by: str = "extensions", **changed: Any) -> Service:
    """A product of the first tenant: extension 2112, trunk A."""
    return Service.model_validate(
        {
            "service_id": "svc-2",
            "name": "Vodia",
            "kind": "vodia",
            "server_id": "pbx-2",
            "tenant": CFFM,
            "extensions": ("2112",),
            "suspend_by": suspend_by,
            "gateway_ids": ("10",) if suspend_by == "gateway" else (),
            **changed,
        }
    )


def targets_of(*products: Service) -> list[SwitchTarget]:
    """What the products name, each with its product."""
    return [
        SwitchTarget(element, product) for product in products for element in elements_of(product)
    ]


async def turn(
    driver: VodiaDriver, *products: Service, off: bool
) -> dict[str, ElementReading | SwitchDone | Failure]:
    """One turn of the worker: read all that the products name, and switch it.

    Gives the answer for each element by its name; what could not be read is not switched.
    """
    targets = targets_of(*products)
    read = await driver.read(targets)
    changes = [
        ElementChange(target, off, reading)
        for target in targets
        if isinstance(reading := read[target.element], ElementReading)
    ]
    answers: dict[Element, ElementReading | SwitchDone | Failure] = {
        **read,
        **await driver.switch(changes),
    }
    return {element.name: answer for element, answer in answers.items()}


def outbound(**changed: Any) -> dict[str, Any]:
    """A call of a minute by extension 2112 that has just ended."""
    return {"domain": CFFM, "extension": "2112", "number": "14165550100", "talk_s": 60, **changed}
