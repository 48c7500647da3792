"""kill -9 of every service at random, while calls and payments come in."""

import asyncio

from ringfence.secret_files import SERVICES
from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.town import ChaosTown, pause
from tests.chaos.traffic import send

AT_ONCE = 3
"""The most services that are killed together."""


async def kill(town: ChaosTown, plan: Plan) -> Done:
    """Each service is killed at least once; the next kill waits until those killed are back."""
    wave = await town.plan(plan.calls, each=plan.clients_each)
    stop, done = asyncio.Event(), Done()
    killed: dict[str, int] = dict.fromkeys(SERVICES, 0)
    killing = asyncio.create_task(kill_at_random(town, stop, killed, done))
    try:
        await send(town, wave)
        while not all(killed.values()) and not killing.done():
            await pause(stop, 0.2)
    finally:
        stop.set()
        await killing
    await town.until_up()
    done.notes.append("kills: " + ", ".join(f"{name} {n}" for name, n in killed.items()))
    return done


async def kill_at_random(
    town: ChaosTown, stop: asyncio.Event, killed: dict[str, int], done: Done
) -> None:
    """Kill until `stop`; half of the way, the ledger is remembered."""
    order = list(SERVICES)
    town.chance.shuffle(order)
    while await pause(stop, town.chance.uniform(0.2, 2.0)):
        count = town.chance.randint(1, AT_ONCE)
        victims = {order.pop() if order else town.chance.choice(SERVICES) for _ in range(count)}
        for victim in victims:
            killed[victim] += town.kill(victim)
        await town.until_up(*victims)
        done.before = await read_ledger(town.stack.dsn)
