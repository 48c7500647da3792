"""How soon services were switched off after a call, as the API says it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from ringfence_cli.operations.reaction import reaction
from tests.support.accounts import RunningApi, running_api
from tests.support.commands import Operator
from tests.support.reaction import switched_for


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        yield opened


async def asked(api: RunningApi, path: str = "reaction") -> dict[str, Any]:
    answer = await api.http.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def now() -> datetime:
    return datetime.now(UTC)


async def test_before_the_first_switch_there_is_nothing_to_say(api: RunningApi) -> None:
    found = await asked(api)
    assert (found["count"], found["p50_s"], found["p99_s"]) == (0, None, None)
    assert sum(bucket["count"] for bucket in found["buckets"]) == 0
    assert (await asked(api, "clients/anna/reaction"))["words"] == ""
    assert (await api.http.get("/v1/clients/nobody/reaction")).status_code == 404


async def test_the_last_hour_has_its_median_its_tail_and_its_histogram(api: RunningApi) -> None:
    """From the end of the call to the confirmation; what is older does not count."""
    for n in range(98):
        await switched_for(api.database, f"c{n}", confirmed_at=now(), total_s=0.8)
    await switched_for(api.database, "late", confirmed_at=now(), total_s=400)
    await switched_for(api.database, "edge", confirmed_at=now(), total_s=2, charged_s=1.5)
    old = now() - timedelta(minutes=61)
    await switched_for(api.database, "old", confirmed_at=old, total_s=900)
    found = await asked(api)
    assert found["count"] == 100
    assert found["p50_s"] == pytest.approx(0.8, abs=0.01)
    assert 0.8 < found["p99_s"] < 400
    assert found["longest_s"] == pytest.approx(400, abs=0.01)
    assert found["charged_p50_s"] == pytest.approx(0.3, abs=0.01)
    assert found["switched_p50_s"] == pytest.approx(0.5, abs=0.01)
    counts = {each["from_s"]: each["count"] for each in found["buckets"] if each["count"]}
    assert counts == {0.5: 98, 2.0: 1, 300.0: 1}
    assert found["buckets"][-1]["upto_s"] is None


async def test_a_switch_with_another_cause_is_no_reaction(api: RunningApi) -> None:
    """The brake was released, or the client went live: that call ended long ago."""
    await switched_for(api.database, "anna", confirmed_at=now(), cause="brake.release")
    assert (await asked(api))["count"] == 0
    assert (await asked(api, "clients/anna/reaction"))["words"] == ""


async def test_a_client_s_last_one_is_in_words(api: RunningApi) -> None:
    await switched_for(api.database, "anna", confirmed_at=now() - timedelta(days=3), total_s=300)
    old = await asked(api, "clients/anna/reaction")
    assert old["words"] == "switched off 5 min after the call ended"
    await switched_for(api.database, "anna", confirmed_at=now() - timedelta(days=2), total_s=0.84)
    off = await asked(api, "clients/anna/reaction")
    assert (off["became"], off["service_id"]) == ("off", "pbx-anna")
    assert off["words"] == "switched off 0.8 s after the call ended"
    await switched_for(api.database, "anna", confirmed_at=now(), total_s=12.4, kind="top-up")
    on = await asked(api, "clients/anna/reaction")
    assert (on["became"], on["words"]) == ("on", "switched on 12 s after the payment")
    assert (await asked(api))["count"] == 0, "switching on is not in the histogram"


async def test_the_command_says_the_same(api: RunningApi) -> None:
    operator = Operator(api)
    assert "No service was switched off" in await operator.output(reaction)
    assert "No call and no payment" in await operator.output(reaction, "anna")
    await switched_for(api.database, "anna", confirmed_at=now())
    shown = await operator.output(reaction)
    assert "switched off 1 service half of them within 0.80 s" in shown
    assert "0.5 to 1 s 1" in shown
    assert "pbx-anna: switched off 0.8 s after the call ended, " in await operator.output(
        reaction, "anna"
    )
    assert (await operator.json(reaction, "anna"))["became"] == "off"


async def test_with_many_switches_and_clients_it_is_quick(api: RunningApi) -> None:
    """2,000 services within the hour, among 50,000 older switches of 10,000 clients."""
    await api.database.execute(
        "insert into suspender.switch_time"
        " select 'c' || n % 10000, 'pbx', n, 'suspended', 'x' || n,"
        " at, at from (select n, now() - n * interval '1.8 seconds' as at"
        " from generate_series(1, 50000) n) as made"
    )
    await api.database.execute(
        "insert into balance_watch.crossing"
        " select gen_random_uuid(), account_id, 'balance.zero.v1',"
        " convert_to('{\"crossing\":1,\"balance_version\":' || wanted_seq || '}', 'UTF8'),"
        " wanted_at, correlation_id from suspender.switch_time"
    )
    await api.database.execute(
        "insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
        " balance_after_micro, cause_id, occurred_at, posted_at, input_hash, explanation)"
        " select account_id, wanted_seq, gen_random_uuid(), 'charge', 0, 0, gen_random_uuid(),"
        " wanted_at - interval '1 second', wanted_at, '', '{}' from suspender.switch_time"
    )
    await api.database.execute("analyze")
    await asked(api)
    began = monotonic()
    assert 1500 <= (await asked(api))["count"] <= 2000
    assert monotonic() - began < 1
