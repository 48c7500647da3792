"""The same calls repeatedly, also after a restart of everything: one charge each."""

import os
import signal
from datetime import UTC, datetime

import pytest

from ringfence.kafka.publisher import open_publisher
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_local.demo.sample import SampleClient
from ringfence_testing.wait import until
from tests.support.stack_harness import StackHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENT = SampleClient(
    "7001", "Ann", "Again", "", "again.voip.example", "5195550177", ("2112",), "50.00"
)
CALLS = 100
COST_MICRO = 14_400


def completed(number: int) -> Outgoing:
    started_at = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    call = CallCompleted(
        call_id=call_id("pbx1", f"again-{number}"),
        server_id="pbx1",
        tenant=CLIENT.tenant,
        source="fusionpbx-pull",
        source_call_id=f"again-{number}",
        direction="outbound",
        started_at=started_at,
        answered_at=started_at,
        ended_at=started_at,
        billsec=60,
        destination_number="14165550100",
        extension="2112",
    )
    return Outgoing(
        topic=CALL_COMPLETED,
        key=f"pbx1:{CLIENT.tenant}",
        value=call.to_json(),
        event_id=call.call_id,
        time=started_at,
        source="test",
    )


async def test_calls_delivered_three_times_and_after_a_restart_are_charged_once(
    town: StackHarness,
) -> None:
    await town.move_in(CLIENT)
    calls = [completed(n) for n in range(CALLS)]
    async with open_publisher(town.stack.bootstrap, source="test") as publisher:
        for _ in range(3):
            await publisher.publish(calls)
        await until(lambda: charges(town), timeout_s=40)
        before = town.stack.supervisor.restart_count("rating")
        os.kill(town.stack.supervisor.pid("rating"), signal.SIGKILL)
        await until(lambda: town.stack.supervisor.restart_count("rating") > before, timeout_s=30)
        await publisher.publish([*calls, completed(CALLS)])
    await until(lambda: charges(town, CALLS + 1), timeout_s=60)
    assert await town.balance(CLIENT) == 50_000_000 - (CALLS + 1) * COST_MICRO


async def charges(town: StackHarness, wanted: int = CALLS) -> bool:
    """The last call of a delivery is charged after all others: they are on one partition."""
    return bool(
        await town.one(
            "select count(*) = $2 from rating.ledger where account_id = $1 and kind = 'charge'",
            CLIENT.account_id,
            wanted,
        )
    )
