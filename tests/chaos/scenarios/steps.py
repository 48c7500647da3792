"""Steps of the services' clock, forwards and backwards, while broker and database keep theirs."""

import asyncio

from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.town import ChaosTown, pause
from tests.chaos.traffic import send

STEPS_S = (3600, -3600, 90, -90, 86_400, 0)
_STAYS_S = 8.0


async def steps(town: ChaosTown, plan: Plan) -> Done:
    """Each step stays for some seconds; at the end the clock is right."""
    wave = await town.plan(plan.calls, each=plan.clients_each)
    never = asyncio.Event()
    sending = asyncio.create_task(send(town, wave))
    try:
        for seconds in STEPS_S:
            await pause(never, _STAYS_S)
            town.say(f"the services' clocks are {seconds:+d} s off")
            town.clock.step_to(seconds)
        await sending
    finally:
        town.clock.step_to(0)
        sending.cancel()
    await town.until_up()
    alarms = await town.harness.sql("select service, key, message from report.alarm")
    raised = [f"alarm of {row['service']}: {row['message']}" for row in alarms]
    return Done(
        before=await read_ledger(town.stack.dsn),
        notes=[f"steps: {', '.join(f'{s:+d} s' for s in STEPS_S)}", *raised],
    )
