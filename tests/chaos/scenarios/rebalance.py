"""Rebalance storms: three replicas of rating that are started, stopped and killed at random."""

import asyncio
from dataclasses import replace

from ringfence_local.embedded.ports import free_port
from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.town import ChaosTown, pause
from tests.chaos.traffic import send

REPLICAS = ("rating-2", "rating-3")
_KILLED = 0.3


async def rebalance(town: ChaosTown, plan: Plan) -> Done:
    """Each start and each end of a replica moves partitions between the others."""
    wave = await town.plan(plan.calls, each=plan.clients_each)
    stop, done = asyncio.Event(), Done()
    counts = {"starts": 0, "stops": 0, "kills": 0}
    storm = asyncio.create_task(_storm(town, stop, counts))
    try:
        await send(town, wave)
    finally:
        stop.set()
        await storm
    done.before = await read_ledger(town.stack.dsn)
    await town.until_up()
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    done.notes.append(f"replicas of rating: {said}, each a rebalance")
    return done


async def _storm(town: ChaosTown, stop: asyncio.Event, counts: dict[str, int]) -> None:
    supervisor = town.stack.supervisor
    program = supervisor.children["rating"].program
    try:
        while await pause(stop, town.chance.uniform(0.5, 3.0)):
            name = town.chance.choice(("rating", *REPLICAS))
            if name not in supervisor.children:
                port = town.stack.ports[f"{name}-health"] = free_port()
                environment = {**program.environment, "RINGFENCE_HEALTH_PORT": str(port)}
                await supervisor.start(replace(program, name=name, environment=environment))
                counts["starts"] += 1
            elif town.chance.random() < _KILLED:
                counts["kills"] += town.kill(name)
            elif name != "rating":
                await supervisor.stop(name)
                counts["stops"] += 1
    finally:
        for name in REPLICAS:
            if name in supervisor.children:
                await supervisor.stop(name)
