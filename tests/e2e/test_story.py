"""The demo's story, and the fixtures of a real FusionPBX, through the whole product."""

import io
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console

from ringfence_contracts.ids import call_id
from ringfence_local.demo.sample import SampleClient
from ringfence_local.demo.story import CLIENT, play_story
from ringfence_testing.wait import until
from tests.support.stack_harness import StackHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")

Classes = dict[UUID, tuple[str, str, int]]

FIXTURES = Path(__file__).parents[1] / "fixtures" / "fusionpbx-5.5"
MCON = SampleClient(
    "5001", "Mia", "Conn", "", "mcon.wat5.ictvoip.ca", "5192229000", ("2112", "2113"), "90.00"
)  # fmt: skip
RUCKEN = SampleClient(
    "5002", "Rik", "Rucken", "", "rucken.wat7.ictvoip.ca", "5484815577", ("606",), "90.00"
)

CLASSES = {
    "6513270e-269e-4d37-b2a7-4de452e6b438": ("rated", "14165550100", 60),
    "1818e811-892f-402b-923f-0824128b2f33": ("rated", "14165550101", 66),
    "36f675cc-81e7-4ef5-a8e2-5d940ed90475": ("rated", "44207946000", 240),
    "3d9c1724-11e2-4b8f-ab0d-549b6f03675a": ("not-billed", "unanswered", 0),
    "d3ac94af-0f21-4db6-acad-4a268d116ece": ("not-billed", "unanswered", 0),
    "a170b338-3926-4059-b28c-105d1fb17c23": ("rated", "15192229000", 96),
    "95e60af5-93bd-44cf-8fd6-30f1f29d0da9": ("rated", "15192229000", 36),
    "8e81973e-0bec-47b0-b898-d190f9ebdacc": ("not-billed", "local", 0),
    "1e27a1c0-8a6a-43ec-a4ed-e6a46b4cb242": ("not-billed", "filter-not-billed", 0),
    "2e44158b-ae97-4a94-90ed-a82f8f6d0558": ("rated", "18884163054", 300),
    "5f557203-3018-40c5-a38f-d547923a7369": ("rated", "14165550100", 6),
    "0f4205b4-907a-40c3-9012-f037b64ce422": ("not-billed", "feature-code", 0),
    "6d76b07e-881e-4162-ae2e-b1547f150524": ("rated", "14165550100", 7302),
    "7403e430-ec66-4787-95e7-61d17731af10": ("rated", "12265551234", 36),
    "b2f14c94-2e05-419a-8b5c-74273f98e277": ("rated", "15484815577", 132),
}
B_LEG = "86734721-4cdd-4055-930d-6eaf14f4733f"


async def test_the_story_of_one_client(town: StackHarness) -> None:
    await play_story(town.stack, Console(file=io.StringIO()))
    mails = ["Low Balance Alert", "VoIP Zero Balance", "VoIP Restored"]
    await until(lambda: town.mails(CLIENT) == mails)


async def test_every_row_of_a_real_export_is_classified(town: StackHarness) -> None:
    await town.move_in(MCON)
    await town.move_in(RUCKEN)
    await until(
        lambda: town.one("select count(*) = 2 from rating.profile where account_id like '500%'"),
        timeout_s=20,
    )
    body = (FIXTURES / "export-all-tenants.csv").read_bytes()
    # A row is confirmed by the export of its call alone, so the PBX must hold the calls it lists.
    await town.door.pbx("calls", held_calls(body))
    await town.door._pbx.put("/_sim/export-body", content=body)
    try:
        await until(lambda: found_classes(town, 15), timeout_s=30)
        found = await found_classes(town, 15)
    finally:
        await town.door._pbx.delete("/_sim/export-body")
    assert found == {call_id("pbx1", source): what for source, what in CLASSES.items()}
    # A leg that left by a carrier, of a call that this export does not hold: it waits for it.
    waits = "select reason from rating.unrated where call_id = $1"
    await until(lambda: town.one(waits, call_id("pbx1", B_LEG)), timeout_s=60, what="it waits")
    assert await town.one(waits, call_id("pbx1", B_LEG)) in ("waits-for-leg", "leg-without-call")


def held_calls(body: bytes) -> list[dict[str, str]]:
    """The calls of an export, with each column as it is there."""
    names, *rows = [line[1:-1].split('","') for line in body.decode().splitlines()]
    return [dict(zip(names, values, strict=True)) for values in rows]


async def found_classes(town: StackHarness, wanted: int) -> Classes | None:
    rows = await town.sql(
        "select call_id, outcome, reason, number, (explanation ->> 'billed_s')::int as billed_s"
        " from report.call where account_id in ('5001', '5002')"
    )
    if len(rows) < wanted:
        return None
    return {
        row["call_id"]: (
            row["outcome"],
            row["reason"] or row["number"],
            row["billed_s"],
        )
        for row in rows
    }
