"""Waits until everything has converged after a scenario, and checks it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import orjson

from tests.chaos.invariants import Findings, Leniency, check
from tests.chaos.readings import Readings, read_everything
from tests.chaos.town import ChaosTown, Stopwatch

CONVERGE_S = 240
_LOOK_EVERY_S = 1.0
_PLACES = """
select (select count(distinct cause_id) from rating.ledger where kind = 'charge')
    + (select count(*) from rating.not_billed) + (select count(*) from rating.unrated)
"""


@dataclass
class Settled:
    """The result of a scenario's check."""

    findings: Findings
    readings: Readings
    converged_s: float
    verify: list[str] = field(default_factory=list)
    """What `ringfence database verify --full --replay` found; empty if all holds."""


async def settle(
    town: ChaosTown,
    *,
    before: Mapping[str, tuple[Any, ...]],
    leniency: Leniency,
    timeout_s: float = CONVERGE_S,
) -> Settled:
    """Check again and again until nothing differs, or until the time-out; then ask the product."""
    watch = Stopwatch()
    await until_all_placed(town, watch, timeout_s)
    while True:
        took_s = watch.s
        try:
            readings = await read_everything(town)
        except (OSError, TimeoutError, asyncpg.PostgresError, httpx.TransportError):
            if watch.s > timeout_s:
                raise
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        findings = check(readings, town.sent, before=before, leniency=leniency)
        town.say(f"checked after {took_s:.0f} s: {' | '.join(findings.lines(1)) or 'all holds'}")
        if findings.holds or watch.s > timeout_s:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    verify = await asyncio.to_thread(verify_by_product, town, replay=not leniency.topics_lost)
    return Settled(findings, readings, took_s, verify)


async def until_all_placed(town: ChaosTown, watch: Stopwatch, timeout_s: float) -> None:
    """Wait until there are as many outcomes as calls: reading everything takes seconds."""
    while watch.s < timeout_s:
        try:
            if await town.harness.one(_PLACES) >= len(town.sent.calls):
                return
        except (OSError, TimeoutError, asyncpg.PostgresError):
            pass  # the database is not back yet
        await asyncio.sleep(_LOOK_EVERY_S)


def verify_by_product(town: ChaosTown, *, replay: bool) -> list[str]:
    """The differences that `ringfence database verify --full` finds."""
    command = [sys.executable, "-m", "ringfence_cli.main", "database", "verify", "--full"]
    command += ["--wait", "30", "--json", "--dsn", town.stack.dsn, *(["--replay"] * replay)]
    environment = {**os.environ, "RINGFENCE_KAFKA_BOOTSTRAP": town.stack.bootstrap}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    try:
        report = orjson.loads(done.stdout)
    except orjson.JSONDecodeError:
        return [f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"]
    return [
        f"{each['name']}: {(each['differences'] or [each['unknown'] or 'differs'])[0]}"
        for each in report["checks"]
        if not each["holds"]
    ]


def run_command(town: ChaosTown, *arguments: str) -> str:
    """Run a `ringfence` command on the stack; its name, and how it ended."""
    environment = {
        **os.environ,
        "RINGFENCE_API": town.stack.api_url,
        "RINGFENCE_TOKEN": town.stack.api_token,
        "RINGFENCE_KAFKA_BOOTSTRAP": town.stack.bootstrap,
        "RINGFENCE_POSTGRES_DSN": town.stack.dsn,
    }
    done = subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    return f"`ringfence {' '.join(arguments)}`: exit {done.returncode}, {' '.join(last)}"
