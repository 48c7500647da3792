"""The outside world at its worst: a PBX and a mail server that hang, fail, lie and close."""

import asyncio
from typing import Any

import httpx

from tests.chaos.mail_proxy import FAULTS
from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.town import ChaosTown, pause
from tests.chaos.traffic import send

PBX_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "value": "500"},
    {"kind": "status", "value": "503"},
    {"kind": "status", "value": "429 1"},
    {"kind": "slow", "value": "3"},
    {"kind": "slow", "value": "15"},
    {"kind": "redirect", "value": "/nowhere"},
    {"kind": "html", "value": "<html><body>maintenance</body></html>"},
    {"kind": "cut"},
    {"kind": "cut-quiet"},
    {"kind": "drop"},
    {"kind": "forget"},
    {"kind": "raw", "value": "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\nhalf"},
    {"kind": "raw", "value": "not even HTTP"},
    {"kind": "socket-down"},
    {"kind": "toggle-lies"},
)
_LEAST_S = 40.0


async def outside(town: ChaosTown, plan: Plan) -> Done:
    """For as long as calls are sent, and at least 40 s."""
    wave = await town.plan(plan.calls, each=plan.clients_each)
    stop, done = asyncio.Event(), Done()
    counts = {"PBX": 0, "mail server": 0}
    worst = asyncio.create_task(_at_its_worst(town, stop, counts))
    try:
        await asyncio.gather(send(town, wave), asyncio.sleep(min(_LEAST_S, plan.pause_s)))
    finally:
        stop.set()
        await worst
    done.before = await read_ledger(town.stack.dsn)
    done.notes.append(", ".join(f"{count} faults of the {what}" for what, count in counts.items()))
    return done


async def _at_its_worst(town: ChaosTown, stop: asyncio.Event, counts: dict[str, int]) -> None:
    async with httpx.AsyncClient(base_url=town.stack.pbx_url, trust_env=False) as pbx:
        try:
            while await pause(stop, town.chance.uniform(0.2, 1.0)):
                fault = {**town.chance.choice(PBX_FAULTS), "times": town.chance.randint(1, 4)}
                (await pbx.post("/_sim/faults", json=fault)).raise_for_status()
                counts["PBX"] += 1
                town.mail_proxy.fault = town.chance.choice(FAULTS)
                counts["mail server"] += 1
        finally:
            town.mail_proxy.fault = "none"
            (await pbx.delete("/_sim/faults")).raise_for_status()
