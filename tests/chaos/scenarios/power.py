"""A power cut: everything ends at once, and one of the two disks is back as it was earlier."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ringfence.secret_files import SERVICES
from ringfence_local.embedded.kafka import Kafka
from ringfence_local.embedded.postgres import Postgres
from ringfence_local.embedded.server import start_async
from ringfence_testing.wait import until
from tests.chaos.invariants import Leniency
from tests.chaos.readings import read_ledger
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.scenarios.stop import processes_of, signal_all
from tests.chaos.settling import run_command, until_all_placed
from tests.chaos.town import ChaosTown, Stopwatch
from tests.chaos.traffic import send

HEALED_S = 60
"""The objective of anti-entropy, from when all services are up."""

_BOUND_S = 240


async def broker_behind(town: ChaosTown, plan: Plan) -> Done:
    """Kafka forgets what it acknowledged; the database remembers."""
    kafka = town.stack.kafka
    assert kafka is not None
    done = await _cut(town, plan, kafka, "broker")
    done.leniency = Leniency(topics_lost=True)
    done.notes.append("I7: the topics lost records, so that they alone cannot give the balances")
    return done


async def database_behind(town: ChaosTown, plan: Plan) -> Done:
    """The database forgets what it committed; Kafka remembers. The runbook's command heals it."""
    postgres = town.stack.postgres
    assert postgres is not None
    done = await _cut(town, plan, postgres, "database")
    done.leniency = Leniency(may_repeat_mails=True, acceptances_lost=True)
    await _claim(town, done)
    return done


async def _cut(town: ChaosTown, plan: Plan, server: Kafka | Postgres, part: str) -> Done:
    first = await town.plan(plan.calls // 2, each=1)
    second = await town.plan(plan.calls - plan.calls // 2, each=1)
    await send(town, first)
    await until_all_placed(town, Stopwatch(), 120)
    done = Done(converge_s=_BOUND_S)
    folder = town.stack.folder / {"broker": "kafka", "database": "postgres"}[part] / "data"
    copy = folder.with_name("data.older")
    ledger = await read_ledger(town.stack.dsn)
    await copy_as_at_once(town, part, folder, copy)
    await send(town, second)
    if part == "broker":
        await until_all_placed(town, Stopwatch(), 120)
        ledger = await read_ledger(town.stack.dsn)
    done.before = ledger
    town.say(f"power cut; the {part} comes back as it was {len(second.calls)} calls ago")
    await cut_power(town)
    shutil.rmtree(folder)
    copy.rename(folder)
    await _start(town)
    await town.until_servers_run()
    await town.until_up()
    done.notes.append(f"the {part} lost the last {len(second.calls)} calls, and their payments")
    return done


async def copy_as_at_once(town: ChaosTown, part: str, folder: Path, copy: Path) -> None:
    """Copy a server's files as a snapshot of its disk would: nothing is written during the copy."""
    pids = processes_of(town.pid_of(part))
    signal_all(pids, signal.SIGSTOP)
    try:
        command = ("cp", "-a", str(folder), str(copy))
        process = await asyncio.create_subprocess_exec(*command)
        assert await process.wait() == 0, command
    finally:
        signal_all(pids, signal.SIGCONT)


async def cut_power(town: ChaosTown) -> None:
    """Kill -9 of everything but the outside world; broker and database stay down."""
    for service in SERVICES:
        town.kill(service)
    kafka, postgres = town.stack.kafka, town.stack.postgres
    assert kafka is not None
    assert postgres is not None
    pids = [kafka.pid, *processes_of(postgres.pid)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    town.kills += 2
    # What was stopped is not started again by the stack. They are dead: it only waits for them.
    kafka.stop()
    postgres.stop()


async def _start(town: ChaosTown) -> None:
    assert town.stack.kafka is not None
    assert town.stack.postgres is not None
    await start_async(town.stack.postgres)
    await start_async(town.stack.kafka)


async def _claim(town: ChaosTown, done: Done) -> None:
    """Do what the alarm `restored` names, once it is raised."""
    raised = "select service, what_to_do from report.alarm where key = 'restored'"
    watch = Stopwatch()
    alarms = await _within(HEALED_S, partial(town.harness.sql, raised))
    if not alarms:
        done.notes.append(f"no alarm `restored` within {HEALED_S} s")
        return
    services = ", ".join(sorted(row["service"] for row in alarms))
    done.notes.append(f"alarm `restored` of {services} after {watch.s:.0f} s")
    done.notes += [f"{row['service']} says: {row['what_to_do']}" for row in alarms]
    unclaimed = "select payment_id from report.unclaimed_payment"
    if await _within(HEALED_S, partial(town.harness.sql, unclaimed)):
        claim = ("payments", "claim", "--from-topic", "--reason", "power cut", "--yes")
        done.notes.append(await asyncio.to_thread(run_command, town, *claim))


async def _within(seconds: float, ask: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
    """The first answer that is not empty, or the last one."""
    found: list[Any] = []

    async def is_there() -> bool:
        found[:] = await ask()
        return bool(found)

    with suppress(AssertionError):
        await until(is_there, timeout_s=seconds, every_s=1)
    return found
