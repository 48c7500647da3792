"""Requests a job and waits for it; shows on a terminal how far it is."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ringfence_cli.connection import ApiClient, fail, path_of
from ringfence_cli.tables import print_json, print_sentence

if TYPE_CHECKING:
    from rich.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])
JobFacts = Mapping[str, Any]

BEGUN_WITHIN_S = 15.0
"""How long a job may wait until somebody begins it."""

SILENT_FOR_S = 60.0
"""How long a job that was begun may show no sign of life; its worker gives one every second."""

EXIT_NOT_DONE = 1
EXIT_INTERRUPTED = 130
_LOOK_EVERY_S = 0.3

no_wait_option: Callable[[F], F] = click.option(
    "--no-wait", is_flag=True, help="Do not wait for the result: `ringfence jobs show` has it."
)


def request_job(api: ApiClient, path: str, body: Mapping[str, Any]) -> str:
    """Request a job; its id. Ends the command if the API refuses it."""
    return str(api.send("POST", path, json=dict(body))["request_id"])


def show_requested(job_id: str, *, as_json: bool) -> None:
    """Print the id of a job that is not awaited."""
    if as_json:
        print_json({"request_id": job_id})
    else:
        print_sentence(f"requested: `ringfence jobs show {job_id}` shows the result")


def result_of(api: ApiClient, job_id: str) -> Mapping[str, Any]:
    """Wait for a job; its result. Ends the command when there is none, with the reason.

    Exit 2 when the job was refused, 1 when it failed or nobody works at it, 130 after Ctrl-C.
    """
    job = await_job(api, job_id)
    if job["state"] == "refused":
        fail(str(job["message"]))
    if job["state"] != "done":
        fail(f"{job['service']} could not do it: {job['message']}", EXIT_NOT_DONE)
    result: Mapping[str, Any] = job["result"]
    return result


def await_job(api: ApiClient, job_id: str) -> JobFacts:
    """The job when it has ended. Ends the command when nobody begins it or works at it."""
    try:
        with _shown_progress() as show:
            return _ended(api, job_id, show)
    except KeyboardInterrupt:
        _leave(f"the job goes on: `ringfence jobs show {job_id}` shows it", EXIT_INTERRUPTED)


def _ended(api: ApiClient, job_id: str, show: Callable[[JobFacts], None]) -> JobFacts:
    seen, seen_at = None, time.monotonic()
    while True:
        job = api.get(path_of("jobs", job_id))
        if job["finished_at"]:
            return job
        show(job)
        life = (job["state"], job["leased_until"], job["attempts"])
        if life != seen:
            seen, seen_at = life, time.monotonic()
        _check_alive(job, time.monotonic() - seen_at)
        time.sleep(_LOOK_EVERY_S)


def _check_alive(job: JobFacts, unchanged_s: float) -> None:
    """End the command if the job has shown no sign of life for too long."""
    service, later = job["service"], f"`ringfence jobs show {job['request_id']}`"
    if not job["started_at"] and unchanged_s > BEGUN_WITHIN_S:
        _leave(
            f"{service} has not begun within {BEGUN_WITHIN_S:.0f} s: it does one job after another,"
            f" and this one waits until {service} runs. {later} shows it, `ringfence jobs` what"
            " goes before",
            EXIT_NOT_DONE,
        )
    if job["started_at"] and unchanged_s > SILENT_FOR_S:
        _leave(
            f"{service} began, but has given no sign of life for {SILENT_FOR_S:.0f} s: the job goes"
            f" on when {service} runs. {later} shows it",
            EXIT_NOT_DONE,
        )


def _leave(message: str, status: int) -> NoReturn:
    print_sentence(f"ringfence: {message}", err=True)
    raise SystemExit(status)


@contextmanager
def _shown_progress() -> Iterator[Callable[[JobFacts], None]]:
    """A function that shows a job's progress; on a terminal alone."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # slow to import
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _updating(progress)


def _updating(progress: "Progress") -> Callable[[JobFacts], None]:
    task = progress.add_task("waiting", total=None)

    def show(job: JobFacts) -> None:
        waiting = "begun" if job["started_at"] else f"waiting for {job['service']}"
        text = job["progress"] or waiting
        progress.update(task, description=text, completed=job["done"] or 0, total=job["total"])

    return show
