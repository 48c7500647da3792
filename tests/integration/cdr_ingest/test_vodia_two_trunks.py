"""A call that comes in by one trunk of a Vodia and goes out by another, by post and by poll."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.vodia.app import VodiaSimulator
from ringfence_simulators.vodia.calls import SimulatedVodiaCall
from ringfence_testing.records import account
from ringfence_testing.wait import until
from tests.support.cdr_ingest import Ear, ear, ingest, rows, servers_toml
from tests.support.rating import Bench, open_bench
from tests.support.vodia import CFFM, simulated

Order = Literal["posted-first", "listed-first"]


@dataclass
class TwoTrunks:
    """The running service with one Vodia, which posts if `posts`, and rating behind it."""

    pbx: VodiaSimulator
    heard: Ear
    rating: Bench
    server_id: str
    dsn: str

    def forwarded(self, **changed: Any) -> SimulatedVodiaCall:
        """A call of 90 s that 2112 forwards to a mobile, where it talks for 61 s."""
        spec = {"direction": "inbound", "talk_s": 90, "forward_to": "16135550199", "forward_s": 61}
        return self.pbx.pbx.place({"domain": CFFM, **spec, **changed})

    async def records(self, number: int) -> bool:
        query = "select count(*) from cdr_ingest.record where server_id = $1"
        return bool((await rows(self.dsn, query, self.server_id))[0][0] >= number)

    async def legs(self, **states: int) -> bool:
        query = "select state, count(*) from cdr_ingest.leg group by state"
        return dict(map(tuple, await rows(self.dsn, query))) == states

    async def rate(self) -> list[int]:
        """Rate what is new on the topic; all charges so far."""
        calls: list[CallCompleted] = await self.heard.events(CALL_COMPLETED, self.server_id)
        self.heard.heard.clear()
        for call in calls:
            await self.rating.rate(call)
        return sorted(-amount for kind, amount in await self.rating.entries() if kind == "charge")

    async def waiting(self) -> list[tuple[str, str]]:
        """Reason and detail of what is in the unrated queue."""
        return [
            (row["reason"], row["detail"])
            for row in await self.rating.sql("select reason, detail from rating.unrated")
        ]


@asynccontextmanager
async def two_trunks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bootstrap: str, dsn: str
) -> AsyncIterator[TwoTrunks]:
    monkeypatch.setattr("cdr_ingest.legs.loop.LOOK_EVERY_S", 0.1)
    server_id, port = f"vodia-{uuid.uuid4().hex[:8]}", free_port()
    package: dict[str, object] = {
        "inbound_enabled": True,
        "custom_inbound_rate": "0.005",
        "custom_inbound_increment": "60/60",
    }
    product: dict[str, object] = {"kind": "vodia", "server_id": server_id}
    async with (
        simulated(monkeypatch, clock=time.time) as pbx,
        open_bench(dsn) as rating,
        ear(bootstrap) as heard,
    ):
        entry = {
            "kind": "vodia", "url": pbx.url, "user": "admin", "tenants": [CFFM], "poll_s": 0.1,
            "password": {"env": "TEST_VODIA_PASSWORD"}, "push": {"open": True},
        }  # fmt: skip
        rating.clock.move(seconds=(datetime.now(UTC) - rating.clock.now()).total_seconds())
        await rating.save_accounts(
            account(version=2, tenant=CFFM, dids=("5484815577",), package=package, service=product)
        )
        file = servers_toml(tmp_path, **{server_id: entry})
        async with ingest(bootstrap, dsn, file, push_port=port):
            await until(lambda: listens(port), timeout_s=20)
            pbx.posting.configure(f"json://127.0.0.1:{port}/cdr/{server_id}/json")
            yield TwoTrunks(pbx, heard, rating, server_id, dsn)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


@pytest.fixture
async def vodia(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kafka_bootstrap: str, database: str
) -> AsyncIterator[TwoTrunks]:
    async with two_trunks(monkeypatch, tmp_path, kafka_bootstrap, database) as found:
        yield found


BOTH = [10_000, 20_000]
"""Two minutes of the call that came in, and two of the way out to North America."""


async def test_posted_and_listed_both_parts_are_charged_once(vodia: TwoTrunks) -> None:
    """Records: the telephone's leg, both trunks' legs, and the list's part that left."""
    await vodia.pbx.posting.post(vodia.forwarded())
    await until(lambda: vodia.records(4), timeout_s=20)
    await until(lambda: vodia.legs(charged=1), timeout_s=20)
    assert await vodia.rate() == BOTH
    assert await vodia.waiting() == []
    assert await vodia.rating.sql("select * from rating.drift_i4_legs") == []


async def test_listed_first_and_posted_later_both_parts_are_charged_once(vodia: TwoTrunks) -> None:
    call = vodia.forwarded()
    await until(lambda: vodia.legs(waiting=1), timeout_s=20)
    assert await vodia.rate() == BOTH[:1]
    await vodia.pbx.posting.post(call)
    await until(lambda: vodia.legs(charged=1), timeout_s=20, what="the list's part is paid for")
    assert await vodia.rate() == BOTH
    assert await vodia.waiting() == []


async def test_a_part_that_left_and_is_not_posted_waits_in_words(vodia: TwoTrunks) -> None:
    vodia.forwarded()
    await until(lambda: vodia.legs(waiting=1), timeout_s=20)
    await rows(vodia.dsn, "update cdr_ingest.leg set noted_at = now() - interval '16 minutes'")
    await until(lambda: vodia.legs(**{"given-up": 1}), timeout_s=20)
    assert await vodia.rate() == BOTH[:1]
    ((reason, detail),) = await vodia.waiting()
    assert reason == "leg-without-call"
    assert "does not show the number" in detail
    assert "docs/vodia.md" in detail


async def test_a_part_that_nobody_answered_costs_nothing(vodia: TwoTrunks) -> None:
    await vodia.pbx.posting.post(vodia.forwarded(forward_s=0))
    await until(lambda: vodia.records(4), timeout_s=20)
    await until(lambda: vodia.legs(charged=1), timeout_s=20)
    assert await vodia.rate() == BOTH[:1]
    assert await vodia.waiting() == []


async def test_a_call_that_presents_another_number_is_charged_once(vodia: TwoTrunks) -> None:
    """Its posted leg looks like one that was forwarded; the list says that an extension called."""
    call = vodia.pbx.pbx.place({"domain": CFFM, "direction": "outbound", "talk_s": 60})
    _, leg = call.legs("system")
    await vodia.pbx.posting.post_bodies([{**leg, "From": "<sip:+15484815577@x>"}])
    await until(lambda: vodia.records(2), timeout_s=20)
    await until(vodia.legs, timeout_s=20)
    assert await vodia.rate() == [10_000]
    assert await vodia.waiting() == []
