"""Runs scenarios, each on a stack of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.chaos.results import Result
from tests.chaos.scenarios.disk import disk
from tests.chaos.scenarios.kill import kill
from tests.chaos.scenarios.outside import outside
from tests.chaos.scenarios.poison import poison
from tests.chaos.scenarios.power import broker_behind, database_behind
from tests.chaos.scenarios.rebalance import rebalance
from tests.chaos.scenarios.scenario import Plan, Scenario
from tests.chaos.scenarios.steps import steps
from tests.chaos.scenarios.stop import stop
from tests.chaos.settling import CONVERGE_S, settle
from tests.chaos.town import ChaosTown, Skipped

SCENARIOS = (
    Scenario("kill", "kill -9 of every service at random", kill, share=1.0),
    Scenario("stop", "SIGSTOP of a worker, the broker, the database", stop),
    Scenario("power-broker", "power cut, the broker's disk behind", broker_behind, share=0.1),
    Scenario("power-database", "power cut, the database's disk behind", database_behind, share=0.1),
    Scenario("rebalance", "rebalance storms of three rating replicas", rebalance),
    Scenario("poison", "poison on every topic", poison, share=0.1),
    Scenario("outside", "PBX and mail server at their worst", outside, share=0.1),
    Scenario("disk", "full disks", disk, share=0.1, needs=frozenset({"disks"})),
    Scenario("clock", "steps of the clock", steps, share=0.1, needs=frozenset({"clock"})),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


async def run_suite(
    folder: Path,
    wanted: Sequence[Scenario],
    plan: Plan,
    *,
    seed: int,
    say: Callable[[str], None],
    on_result: Callable[[Result], None],
) -> list[Result]:
    """Run scenarios one after the other; a failure of one does not end the others."""
    results = []
    for scenario in wanted:
        say(f"{scenario.title}…")
        own = replace(plan, calls=max(1, round(plan.calls * scenario.share)))
        try:
            async with ChaosTown(
                folder / scenario.name, seed=seed, say=say, needs=scenario.needs
            ) as town:
                result = await run_scenario(town, scenario, own)
        except Skipped as skipped:
            result = Result(scenario.name, scenario.title, skipped=str(skipped))
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            result = Result(scenario.name, scenario.title, failure=text)
        say(f"{scenario.title}: {'passed' if result.holds else 'FAILED'}")
        for line in result.lines():
            say(f"  {line}")
        results.append(result)
        on_result(result)
    return results


async def run_scenario(town: ChaosTown, scenario: Scenario, plan: Plan) -> Result:
    """Run one scenario on a town, wait until it has converged, and check everything sent so far."""
    began, kills, posts = time.monotonic(), town.kills, town.sent.posts
    done = await scenario.run(town, plan)
    settled = await settle(
        town,
        before=done.before,
        leniency=done.leniency,
        timeout_s=done.converge_s or CONVERGE_S,
    )
    return Result(
        scenario=scenario.name,
        title=scenario.title,
        calls=plan.calls,
        posts=town.sent.posts - posts,
        kills=town.kills - kills,
        took_s=time.monotonic() - began,
        converged_s=settled.converged_s,
        findings=settled.findings,
        verify=settled.verify,
        notes=done.notes,
    )
