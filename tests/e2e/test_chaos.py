"""The short form of `make chaos`: services are killed and stopped while 2,000 calls come in."""

from pathlib import Path

import pytest

from tests.chaos.scenarios.scenario import Plan, Scenario
from tests.chaos.suite import BY_NAME, run_scenario
from tests.chaos.town import ChaosTown

pytestmark = pytest.mark.timeout(1800)

PLANS = (
    (BY_NAME["kill"], Plan(calls=1_400, clients_each=1)),
    (BY_NAME["stop"], Plan(calls=600, pause_s=10)),
)


async def test_kills_and_stops_lose_and_double_nothing(tmp_path: Path) -> None:
    """One stack for both; after the second, all 2,000 calls are checked."""
    async with ChaosTown(tmp_path / "stack", seed=20261127, say=print) as town:
        for scenario, plan in PLANS:
            await one(town, scenario, plan)


async def one(town: ChaosTown, scenario: Scenario, plan: Plan) -> None:
    """Run a scenario; nothing may be lost, doubled or different after it."""
    result = await run_scenario(town, scenario, plan)
    assert result.findings is not None
    assert result.findings.lines() == []
    assert list(result.verify) == []
    assert scenario.name != "kill" or result.kills >= 6
