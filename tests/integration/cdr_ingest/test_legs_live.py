"""The channel sets of tests/cases/legs through the running service, by each of its doors.

FreeSWITCH posts to the receiver, a simulated FusionPBX is polled by its signed export and by its
database, and one server is both posted and polled. What the topic has is rated then.
"""

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings
from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_testing.records import account
from ringfence_testing.wait import until
from tests.support.cdr_ingest import Ear, ear, ingest, rows, servers_toml
from tests.support.forgery import SECRET, sign
from tests.support.fusionpbx import MCON, simulated
from tests.support.fusionpbx_database import CallsDatabase, calls_database
from tests.support.legs import NAMES, LegCase, leg_case
from tests.support.rating import Bench, open_bench

Way = Literal["json", "xml", "export", "database", "both"]
WAYS: tuple[Way, ...] = ("json", "xml", "export", "database", "both")
PACKAGE: dict[str, object] = {
    "inbound_enabled": True,
    "custom_inbound_rate": "0.005",
    "custom_inbound_increment": "60/60",
}
LONGEST_S = 680
"""Longer than each of the cases, and shorter than what each poll looks back."""

USER, PASSWORD = "switch", "hush-hush-push"


@dataclass
class Doors:
    """The running service with a server for each way of reading calls, and rating behind it."""

    run: str
    dsn: str
    heard: Ear
    rating: Bench
    posts: dict[str, CdrModule]
    listed: dict[str, SimulatedFusionPbx]
    database: CallsDatabase

    def server_id(self, way: Way) -> str:
        return f"{way}-{self.run}"

    def cases(self, way: Way, *, turned: bool) -> dict[str, LegCase]:
        """The cases by name, with calls that have just ended; `turned`: the last channel first."""
        server_id, began = self.server_id(way), time.time() - LONGEST_S
        made = {name: leg_case(name, f"{name} {way}", server_id, began) for name in NAMES}
        if not turned:
            return made
        return {name: replace(case, calls=case.calls[::-1]) for name, case in made.items()}

    async def end(self, way: Way, cases: Sequence[LegCase], number: int) -> None:
        """End the `number`th channel of each case, and wait until cdr-ingest has its record."""
        for case in cases:
            call = case.calls[number]
            if way == "database":
                await self.database.put(call.columns, datetime.now(UTC))
            if way in self.listed:
                self.listed[way].place(_spec(call))
            if way in self.posts:
                assert await self.posts[way].report(case.channels()[number])
        ids = [case.calls[number].columns["xml_cdr_uuid"] for case in cases]
        await until(partial(self._has, way, ids), timeout_s=30, what=f"{way} {number}")

    async def _has(self, way: Way, uuids: Sequence[str]) -> bool:
        ids = [call_id(self.server_id(way), one) for one in uuids]
        query = "select count(*) from cdr_ingest.record where record_id = any($1)"
        return bool((await rows(self.dsn, query, ids))[0][0] == len(ids))

    async def are_decided(self) -> bool:
        query = "select count(*) from cdr_ingest.leg where decided_at is null"
        return bool((await rows(self.dsn, query))[0][0] == 0)

    async def rate(self) -> None:
        """Rate what is on the topic, in its order."""
        servers = [self.server_id(way) for way in WAYS]
        calls: list[CallCompleted] = await self.heard.events(CALL_COMPLETED, *servers)
        self.heard.heard.clear()
        for call in calls:
            await self.rating.rate(call)

    async def charges(self) -> dict[str, tuple[str, int]]:
        """All charges: account and amount by call id."""
        found = await self.rating.sql(
            "select cause_id, account_id, amount_micro from rating.ledger where kind = 'charge'"
        )
        assert len(found) == len({row["cause_id"] for row in found})
        return {str(r["cause_id"]): (r["account_id"], -r["amount_micro"]) for r in found}


def _spec(call: SimulatedFusionPbxCall) -> dict[str, Any]:
    """The call for the simulator's list: all of its columns are given."""
    return {**call.columns, "ring_s": 0}


def _client(account_id: str, servers: Sequence[str], **product: Any) -> AccountChanged:
    """A client with a product on each server."""
    first = account(account_id, version=2, package=PACKAGE, **product)
    services = [
        Service.model_validate(
            {**first.services[0].model_dump(), "server_id": server, "service_id": f"{server}-{n}"}
        )
        for n, server in enumerate(servers)
    ]
    return first.model_copy(update={"services": tuple(services)})


@asynccontextmanager
async def opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bootstrap: str, dsn: str, postgres: str
) -> AsyncIterator[Doors]:
    monkeypatch.setattr("cdr_ingest.legs.loop.LOOK_EVERY_S", 0.1)
    monkeypatch.setenv("TEST_EXPORT_SECRET", SECRET)
    monkeypatch.setenv("TEST_PUSH_PASSWORD", PASSWORD)
    run, port = uuid.uuid4().hex[:8], free_port()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        lists = {
            way: await enter(simulated(monkeypatch, clock=time.time)) for way in ("export", "both")
        }
        database = await enter(calls_database(postgres))
        monkeypatch.setenv("TEST_FUSIONPBX_DSN", database.dsn)
        base: dict[str, Any] = {
            "kind": "fusionpbx",
            "url": "http://127.0.0.1:1",
            "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
            "timeout_s": 20,
        }
        polled = {"all_tenants": True, "poll_s": 0.1, "poll_rest_s": 0.1, "host": MCON}
        push = {"push": {"user": USER, "password": {"env": "TEST_PUSH_PASSWORD"}}}
        signed = {"export_secret": {"env": "TEST_EXPORT_SECRET"}}
        urls = {way: {"url": simulator.url} for way, simulator in lists.items()}
        by_query = {"way": "database", "dsn": {"env": "TEST_FUSIONPBX_DSN"}}
        entries: dict[Way, dict[str, Any]] = {
            "json": {**base, **push},
            "xml": {**base, **push},
            "export": {**base, **polled, **signed, **urls["export"]},
            "database": {**base, **polled, **by_query},
            "both": {**base, **polled, **signed, **push, **urls["both"]},
        }
        for simulator in lists.values():
            sign(simulator)
        servers = [f"{way}-{run}" for way in WAYS]
        file = servers_toml(tmp_path, **{f"{way}-{run}": e for way, e in entries.items()})
        rating = await enter(open_bench(dsn))
        rating.clock.move(seconds=(datetime.now(UTC) - rating.clock.now()).total_seconds())
        await rating.save_accounts(
            _client("1001", servers, dids=("15192229000",)),
            _client("1002", servers, extensions=("2113",), dids=("15195550902",)),
        )
        heard = await enter(ear(bootstrap))
        await enter(ingest(bootstrap, dsn, file, push_port=port))
        posts = {}
        for way, form in (("json", "json"), ("xml", "xml"), ("both", "json")):
            url = f"http://127.0.0.1:{port}/cdr/{way}-{run}/{form}"
            settings = ModuleSettings(
                form="xml" if form == "xml" else "json",
                urls=(url,),
                cred=f"{USER}:{PASSWORD}",
                retries=20,
                delay=0.2,
            )
            posts[way] = await enter(CdrModule(settings))
        listed = {way: simulator.pbx for way, simulator in lists.items()}
        yield Doors(run, dsn, heard, rating, posts, listed, database)


@pytest.fixture
async def doors(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    postgres_server: str,
) -> AsyncIterator[Doors]:
    async with opened(monkeypatch, tmp_path, kafka_bootstrap, database, postgres_server) as found:
        yield found


@pytest.mark.parametrize("turned", [False, True])
async def test_each_form_is_charged_once_by_every_live_door(doors: Doors, turned: bool) -> None:
    """In both orders of arrival: each channel is ended after the one before it was accepted."""
    cases: dict[str, LegCase] = {}
    for way in WAYS:
        by_name = doors.cases(way, turned=turned)
        for number in range(max(len(case.calls) for case in by_name.values())):
            await doors.end(way, [c for c in by_name.values() if len(c.calls) > number], number)
        cases |= {f"{name} {way}": case for name, case in by_name.items()}
    await until(doors.are_decided, timeout_s=30, what="all legs are decided")
    await doors.rate()
    charges = await doors.charges()
    wrong = {
        name: (case.charges(charges), case.charged)
        for name, case in cases.items()
        if case.charges(charges) != case.charged
    }
    assert wrong == {}
    assert len(charges) == sum(len(case.charged) for case in cases.values())
    assert await doors.rating.sql("select * from rating.unrated") == []
    assert await doors.rating.sql("select * from rating.drift_i4_legs") == []
