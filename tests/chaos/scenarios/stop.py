"""SIGSTOP of a worker, of the broker and of the database, while calls and payments come in."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

import psutil

from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.town import ChaosTown, Stopwatch
from tests.chaos.traffic import send

PARTS = ("rating", "broker", "database")


async def stop(town: ChaosTown, plan: Plan) -> Done:
    """One after the other, each for `pause_s`; a third of the calls is sent with each."""
    done = Done()
    for part in PARTS:
        wave = await town.plan(max(1, plan.calls // len(PARTS)), each=1)
        sending = asyncio.create_task(send(town, wave))
        try:
            await asyncio.wait([sending], timeout=min(2.0, plan.pause_s / 4))
            await hold_still(town, part, plan.pause_s)
            watch = Stopwatch()
            await sending
            await town.until_servers_run()
            await town.until_up()
            done.notes.append(
                f"{part} stopped for {plan.pause_s:g} s; all up {watch.s:.0f} s later"
            )
        finally:
            sending.cancel()
        done.before = await read_ledger(town.stack.dsn)
    return done


async def hold_still(town: ChaosTown, part: str, seconds: float) -> None:
    """Stop all processes of a part, and let them go on after a while, whatever happens."""
    pids = processes_of(town.pid_of(part))
    town.say(f"{part} stops for {seconds:g} s")
    signal_all(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        signal_all(pids, signal.SIGCONT)


def processes_of(pid: int) -> list[int]:
    """A process and its children: PostgreSQL has one for each connection."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def signal_all(pids: Sequence[int], number: int) -> None:
    """Send a signal to processes; one that has ended gets none."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
