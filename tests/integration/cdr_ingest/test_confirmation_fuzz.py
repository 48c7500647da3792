"""Whatever a tenant writes into his texts: no call of another tenant appears, none is lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdr_ingest.confirmation.confirmer import RowConfirmer
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.sources.source import ALL_TENANTS, SourceRecord
from cdr_ingest.store import IngestStore
from ringfence.clock import SystemClock
from ringfence.kafka.publisher import open_publisher
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.call import CallCompleted
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall
from tests.support.cdr_ingest import rows
from tests.support.forgery import line_of, row_line
from tests.support.fusionpbx import NOON, RUCKEN, outbound, server_of, simulated
from tests.support.narrow import present

DAY = (int(NOON) - 86_400, int(NOON) + 86_400)


@dataclass
class Fuzzed:
    """A PBX with hostile texts, and what is needed to ingest from it."""

    pbx: FusionPbxSimulator
    pool: Pool
    ingester: Ingester
    dsn: str


@pytest.fixture
async def fuzzed(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> AsyncIterator[Fuzzed]:
    async with (
        simulated(monkeypatch) as pbx,
        await open_pool(database, service="cdr-ingest") as pool,
        open_publisher(kafka_bootstrap, source="cdr-ingest") as publisher,
    ):
        yield Fuzzed(pbx, pool, Ingester(store=IngestStore(pool), publisher=publisher), database)


# {mine}: a line of the attacker's own call with another tenant, {forged}: of a call that is none.
pieces = st.sampled_from(
    ['"', ",", '","', "\n", '",\n', '"\n"', "2112", "outbound", "60", "{mine}", "{forged}", "x"]
)
texts = st.one_of(
    st.lists(pieces, max_size=8).map("".join),
    st.sampled_from(['Bob"\n{forged}\n"', 'x"\n{mine}\n{mine}\n"y', '"\n{mine}', "{forged}\n"]),
    st.text(st.characters(codec="utf-8", exclude_characters="{}\x00"), max_size=12),
)
columns = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("sip_call_id", "caller_id_name", "caller_id_number"), texts)
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=texts, number=texts | st.just("2112"), changed=columns)
async def test_no_text_of_a_tenant_makes_or_loses_a_call(
    fuzzed: Fuzzed, name: str, number: str, changed: dict[str, str]
) -> None:
    pbx, server_id = fuzzed.pbx, f"fuzz-{uuid.uuid4().hex[:8]}"
    pbx.pbx.calls.clear()
    victims = [pbx.pbx.place(outbound(domain_name=RUCKEN, billsec=30 + n)) for n in range(3)]
    own = pbx.pbx.place(outbound(billsec=61))
    fill = filler(pbx, own)
    own.columns.update({column: fill(text) for column, text in changed.items()})
    attacker = present(pbx.pbx.extensions.get(own.extension_uuid))
    attacker.caller_name, attacker.number = fill(name), fill(number)
    try:
        believed = await ingested(fuzzed, server_id)
    finally:
        attacker.caller_name, attacker.number = "", "2112"
    calls = [record for record in believed if isinstance(record, CallCompleted)]
    true = {call.columns["xml_cdr_uuid"]: call.columns for call in (*victims, own)}
    for call in calls:
        columns = true[call.source_call_id]
        assert call.tenant == columns["domain_name"]
        assert call.billsec == int(columns["billsec"])
        assert call.destination_number == columns["destination_number"]
    found = [call.source_call_id for call in calls]
    assert {uuid for uuid in found if true[uuid]["domain_name"] == RUCKEN} == {
        call.columns["xml_cdr_uuid"] for call in victims
    }
    mine = own.columns["xml_cdr_uuid"]
    waiting = await rows(
        fuzzed.dsn,
        "select row_text from report.unconfirmed_row where server_id = $1",
        server_id,
    )
    assert mine in found or any(mine in row["row_text"] for row in waiting), "it is free"


def filler(pbx: FusionPbxSimulator, own: SimulatedFusionPbxCall) -> "Filler":
    """Puts whole lines into a text: of the own call as another tenant's, and of no call."""
    uuid_of_other = present(pbx.pbx.domains.get(RUCKEN.lower())).uuid
    mine = line_of(own, domain_name=RUCKEN, domain_uuid=uuid_of_other, billsec="9000")
    return Filler(mine, row_line(pbx, **outbound(domain_name=RUCKEN, billsec=3600)))


@dataclass
class Filler:
    """Replaces the placeholders of a text."""

    mine: str
    forged: str

    def __call__(self, text: str) -> str:
        return text.replace("{mine}", self.mine).replace("{forged}", self.forged)


async def ingested(fuzzed: Fuzzed, server_id: str) -> Sequence[SourceRecord]:
    """List the calls twice, as two polls do; what was believed. Nothing is believed twice."""
    source = FusionPbxSource(server_id, server_of(fuzzed.pbx.url))
    confirmer = RowConfirmer(
        source,
        ALL_TENANTS,
        ingester=fuzzed.ingester,
        store=UnconfirmedStore(fuzzed.pool),
        clock=SystemClock(),
    )
    try:
        believed: list[SourceRecord] = []
        for _ in range(2):
            async with aclosing(source.records(ALL_TENANTS, *DAY)) as records:
                listed = [record async for record in records]
            found = await confirmer.confirm(listed)
            new = await fuzzed.ingester.ingest(found)
            believed += found if new else []
        await asyncio.sleep(0)
        return list({id(record): record for record in believed}.values())
    finally:
        await source.aclose()
