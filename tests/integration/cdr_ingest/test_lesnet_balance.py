"""The balance of the account at Les.net is shown as a metric, with an alert below a limit."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from cdr_ingest.lesnet.balance import BalanceWatch
from ringfence.observe.health import Progress
from ringfence_pbx.errors import Refused
from ringfence_pbx.lesnet.api import LesnetApi
from ringfence_simulators.faults import Fault
from ringfence_simulators.lesnet.app import LesnetSimulator
from ringfence_testing.clock import FixedClock
from tests.support.lesnet import server_of, simulated


@pytest.fixture
async def les(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LesnetSimulator]:
    async with simulated(monkeypatch) as simulator:
        yield simulator


@pytest.fixture
async def api(les: LesnetSimulator) -> AsyncIterator[LesnetApi]:
    api = LesnetApi("les-b", server_of(les), clock=FixedClock())
    yield api
    await api.aclose()


@pytest.fixture
def watch(api: LesnetApi) -> BalanceWatch:
    return BalanceWatch(api, limit=Decimal("50"), every_s=900, progress=Progress("balance"))


def metric(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"ringfence_lesnet_balance_{name}", {"server": "les-b"})


@pytest.mark.parametrize(
    ("balance", "is_low"), [("50.00", False), ("49.995", True), ("-3", True), ("1000", False)]
)
async def test_the_balance_and_whether_it_is_below_the_limit_are_metrics(
    les: LesnetSimulator, watch: BalanceWatch, balance: str, is_low: bool
) -> None:
    les.portal.balance = Decimal(balance)
    assert await watch.check() is is_low
    assert metric("low") == is_low
    assert metric("micro") == Decimal(balance) * 1_000_000


async def test_a_balance_that_cannot_be_read_leaves_the_metrics_as_they_are(
    les: LesnetSimulator, api: LesnetApi, watch: BalanceWatch
) -> None:
    les.portal.balance = Decimal("5")
    assert await watch.check() is True
    les.faults.planned = [Fault("status", value="500"), Fault("html", value='{"balance":"x"}')]
    assert await watch.check() is None
    assert await watch.check() is None
    assert metric("low") == 1
    les.portal.api_key = "changed"
    assert await watch.check() is None
    with pytest.raises(Refused, match="apikey or idkey is wrong"):
        await api.balance()
