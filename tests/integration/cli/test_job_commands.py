"""verify, rerate and unrated replay through the API, and `ringfence jobs`; with no database."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence.postgres.pool import Pool
from ringfence_cli.jobs import awaiting
from ringfence_cli.jobs.jobs import jobs
from ringfence_cli.jobs.replay import replay
from ringfence_cli.jobs.rerate import rerate
from ringfence_cli.jobs.verify import verify
from ringfence_contracts.errors import BadInput
from ringfence_testing.records import account, call
from ringfence_testing.wait import until
from tests.support.accounts import TOKEN, running_api
from tests.support.commands import Operator
from tests.support.jobs import rating_jobs
from tests.support.rating import Bench, open_bench

DEARER = ("1", "North America", "0.03", 60, 60, 1)
PERIOD = ("--tariff=north", "--version=2", "--from=2026-11-01", "--to=2026-12-01")


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


@pytest.fixture
async def bench(database: str, operator: Operator) -> AsyncIterator[Bench]:
    """A ledger, and rating's jobs."""
    async with open_bench(database) as bench, rating_jobs(database):
        yield bench


def one_line(text: str) -> str:
    return " ".join(text.split())


async def test_verify_prints_checks_and_sums_and_fails_when_something_differs(
    operator: Operator, bench: Bench
) -> None:
    """Nothing differs in an empty ledger; rating's clients alone are none of accounts (I12)."""
    await bench.sql("delete from rating.profile")
    sound = one_line((await operator.run(verify, "--wait=0")).output)
    assert "I4 a call has at most one live charge 0 charges holds" in sound
    assert "differ" not in sound
    await bench.rate(call())
    await bench.sql("update rating.account set balance_micro = 5")
    says = await operator.output(verify, "--wait=0", status=1)
    assert "1 differ" in says
    assert "I1 account 1001: balance 5, entries sum to -10000" in says
    assert "CAD 1 1 0.00 0.01 -0.01" in says
    found = await operator.json(verify, "--wait=0", status=1)
    assert not found["holds"]
    assert found["sums"][0]["charges_micro"] == 10_000


async def test_a_rerating_is_shown_applied_listed_and_undone(
    operator: Operator, bench: Bench
) -> None:
    assert await operator.output(rerate, "--list") == "Nothing was re-rated yet."
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    says = await operator.output(rerate, *PERIOD)
    assert "1001 1 1 -0.02 CAD" in says
    assert (
        "1 charge; difference -0.02 CAD: 0.01 becomes 0.03 Nothing was written: this is a dry run."
        in says
    )
    assert await bench.balance() == -10_000
    says = await operator.output(rerate, *PERIOD, "--apply")
    run_id = str(await bench.value("select run_id from rating.rerate_run"))
    assert f"Applied as run {run_id}. Put it back: ringfence rerate --undo {run_id}" in says
    assert await bench.balance() == -30_000
    says = await operator.output(rerate, *PERIOD, "--apply")
    assert says.endswith("Nothing differs; nothing was written.")
    listed = await operator.output(rerate, "--list")
    assert run_id[:8] in listed
    assert "applied 1 -0.02" in listed
    assert f"Run {run_id} is undone." in await operator.output(rerate, "--undo", run_id[:8])
    assert await bench.balance() == -10_000
    (row,) = await operator.json(rerate, "--list")
    assert (row["state"], row["difference_micro"]) == ("undone", -20_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--undo", "nonsense"), "RUN: got 'nonsense', expected the id of a run, as --list"),
        (
            ("--undo", "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"),
            "there is no run '7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11'",
        ),
        (("--tariff=north", "--version=9", *PERIOD[2:]), "expected a version of north: 1"),
        ((*PERIOD[:2], "--from=May", "--to=2026-12-01"), "expected a day such as 2026-11-01"),
        ((*PERIOD[:2], "--from=2026-12-01", "--to=2026-11-01"), "after 2026-12-01"),
        ((*PERIOD[:2], "--from=2026-12-01"), "name --tariff, --version, --from and --to"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_in_words(
    operator: Operator, bench: Bench, arguments: tuple[str, ...], message: str
) -> None:
    assert message in await operator.output(rerate, *arguments, status=2)


async def test_replay_shows_what_waits_and_what_came_of_another_attempt(
    operator: Operator, bench: Bench
) -> None:
    assert await operator.output(replay) == "No call waits to be rated."
    await bench.rate(
        call(1, extension="2999", billsec=30),
        call(2, extension="2998"),
        call(3, destination_number="0115599", tenant="NORTH.example"),
    )
    says = await operator.output(replay)
    assert "unknown-product 2 90" in says
    assert "3 calls, 150 seconds. To rate them again: ringfence unrated replay --all" in says
    await bench.save_accounts(account(version=2, extensions=("2112", "2999")))
    await bench.sql("update rating.unrated set replay_requested_at = null")
    rating = asyncio.create_task(_rate_marked(bench, 2))
    says = await operator.output(replay, "--reason=unknown-product")
    await rating
    assert says == "1 of 2 calls settled. 1 still wait: unknown-product"
    says = await operator.output(replay, "--tenant=north.EXAMPLE", "--wait=0")
    assert says == "2 of 2 calls are marked; rating tries them next."
    says = await operator.output(replay, str(call(1).call_id))
    assert says == "No such call waits to be rated."
    assert "at least its first 4 digits" in await operator.output(replay, "zz", status=2)
    assert "--all goes with no other choice" in await operator.output(
        replay, "--all", "--reason=x", status=2
    )


async def _rate_marked(bench: Bench, taken: int) -> None:
    while taken > 0:
        taken -= await bench.worker.replay()
        await asyncio.sleep(0.01)


async def test_jobs_are_listed_and_shown_with_their_results(
    operator: Operator, bench: Bench
) -> None:
    assert await operator.output(jobs) == "No job was requested yet."
    requested = await operator.json(verify, "--wait=0", "--no-wait")
    job_id = requested["request_id"]

    async def is_done() -> bool:
        return bool((await operator.json(jobs, "show", job_id))["state"] == "done")

    await until(is_done)
    says = await operator.output(jobs, "show", job_id[:8])
    assert "job verify by rating" in says
    assert "I11 funds holds follow from" in says
    assert f"verify rating tester done {job_id[:8]} 1 job." in await operator.output(jobs, "list")
    assert "expected the id of a job" in await operator.output(jobs, "show", "nonsense", status=2)
    says = await operator.output(rerate, "--no-wait", "--tariff=a", "--version=1", *PERIOD[2:])
    assert re.fullmatch(r"requested: `ringfence jobs show [0-9a-f-]{36}` shows the result", says)


async def test_a_job_that_nobody_begins_is_reported_and_goes_on(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting, "BEGUN_WITHIN_S", 0.5)
    says = await operator.output(verify, status=1)
    assert "rating has not begun within" in says
    (job,) = await operator.json(jobs, "list")
    assert f"`ringfence jobs show {job['request_id']}`" in says
    assert job["state"] == "waiting"


async def test_a_job_whose_worker_gives_no_sign_of_life_is_reported(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setattr(awaiting, "SILENT_FOR_S", 0.5)
    async with rating_jobs(database, {"verify": _never}) as pool:
        running = asyncio.create_task(operator.run(verify, status=None))
        job_id = await _begun(pool)
        await pool.execute("update rating.job set attempts = attempts + 1")
        result = await running
    assert result.exit_code == 1
    assert "has given no sign of life" in one_line(result.output)
    assert f"ringfence jobs show {job_id}" in one_line(result.output)


async def _never(job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
    report_progress("clients", 31, 311)
    await asyncio.Event().wait()
    return {}


async def _begun(pool: Pool) -> str:
    found = "select request_id from rating.job where progress <> ''"
    return str(await until(lambda: pool.fetchval(found)))


async def _refuses(job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
    raise BadInput("wait_s", "10", "a shorter time")


async def test_a_refused_job_ends_the_command_with_its_reason(
    operator: Operator, database: str
) -> None:
    async with rating_jobs(database, {"verify": _refuses}):
        says = await operator.output(verify, status=2)
    assert says == "ringfence: wait_s: got '10', expected a shorter time"
    (job,) = await operator.json(jobs, "list")
    assert "state refused" in await operator.output(jobs, "show", job["request_id"])


async def test_a_failed_job_ends_the_command_with_what_is_known(
    operator: Operator, database: str
) -> None:
    async with rating_jobs(database, {"verify": _never}) as pool:
        running = asyncio.create_task(operator.run(verify, status=None))
        await _begun(pool)
        await pool.execute(
            "update rating.job set state = 'failed', message = 'a bug: KeyError',"
            " finished_at = now()"
        )
        result = await running
    assert result.exit_code == 1
    assert one_line(result.output) == "ringfence: rating could not do it: a bug: KeyError"


async def test_ctrl_c_leaves_the_job_and_says_how_to_see_it(
    operator: Operator, database: str, tmp_path: Path
) -> None:
    """On a terminal, with the progress; in an empty folder, with nothing but the token."""
    async with rating_jobs(database, {"verify": _never}) as pool:
        ours, theirs = pty.openpty()
        environment = {
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "COLUMNS": "80",
            "RINGFENCE_API": operator.api.url,
            "RINGFENCE_TOKEN": TOKEN,
        }
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence_cli.main", "verify",
            cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        seen = ""

        async def shows(text: str) -> None:
            nonlocal seen
            async with asyncio.timeout(30):
                while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen):
                    seen += (await asyncio.to_thread(os.read, ours, 4096)).decode()

        job_id = await _begun(pool)
        await shows("31/311")
        command.send_signal(signal.SIGINT)
        await shows(job_id)
        async with asyncio.timeout(30):
            assert await command.wait() == 130
        os.close(ours)
        state = await pool.fetchval("select state from rating.job")
    assert state == "running"
    assert "the job goes on: `ringfence jobs show" in one_line(seen)
