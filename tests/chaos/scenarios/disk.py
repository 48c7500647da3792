"""Full disks: of the broker, of the database, and of what services write on their own."""

import asyncio

from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.small_disks import SIZES_MB
from tests.chaos.town import ChaosTown, Stopwatch
from tests.chaos.traffic import send

_LONGEST_S = 30.0


async def disk(town: ChaosTown, plan: Plan) -> Done:
    """One after the other is full for a while, and then has its space again."""
    done = Done()
    for name in SIZES_MB:
        wave = await town.plan(max(1, plan.calls // len(SIZES_MB)), each=1)
        sending = asyncio.create_task(send(town, wave))
        try:
            await asyncio.wait([sending], timeout=2)
            seconds = min(_LONGEST_S, plan.pause_s)
            town.say(f"the disk of {name} is full for {seconds:g} s")
            town.disks.fill(name)
            try:
                await asyncio.sleep(seconds)
            finally:
                town.disks.give_back(name)
            watch = Stopwatch()
            await town.until_servers_run()
            await sending
            await town.until_up()
            done.notes.append(
                f"{name} full for {seconds:g} s; all sent and up {watch.s:.0f} s later"
            )
        finally:
            sending.cancel()
        done.before = await read_ledger(town.stack.dsn)
    return done
