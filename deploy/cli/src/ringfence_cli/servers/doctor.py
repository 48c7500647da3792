"""`ringfence doctor`: checks what the product depends on, and prints what to do about problems.

cdr-ingest makes the checks, because it has the credentials of the PBXs; the API shows the results.
`--here` makes them on this machine, by the package ringfence-doctor.
"""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import click

from ringfence import stack_file
from ringfence_cli.connection import EXIT_UNREACHABLE, ApiClient, api_client, fail, given, path_of
from ringfence_cli.tables import print_json

BEGUN_WITHIN_S = 20.0
"""Longer than cdr-ingest needs to begin, if it runs."""

ENDED_WITHIN_S = 600.0
_KEYS = ("subject", "check", "state", "said", "do")
_LOOK_EVERY_S = 0.3
_WIDEST = 100
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}

_Finding = Mapping[str, str]
"""A check: its `subject`, its name `check`, the `state`, what it `said`, and what to `do`."""


@click.command()
@click.option("--server", "only", default=None, help="This server of the servers file alone.")
@click.option(
    "--here", is_flag=True, help="Examine from this machine, by the servers file of this folder."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def doctor(only: str | None, here: bool, as_json: bool) -> None:
    """Check every server of the servers file, Kafka, PostgreSQL and the mail server.

    cdr-ingest does it, where the credentials are; with --here this machine does, when nothing runs
    yet. Each check is a line, with what to do where it is not well. Nothing is changed anywhere and
    no mail is sent; a FusionPBX notes each login by its key. Exit 1 if a check fails.
    """
    findings = _examined_here(only) if here else _examined_by_the_service(only)
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    if _count_of(findings, "fail"):
        raise SystemExit(1)


def _examined_here(only: str | None) -> Sequence[_Finding]:
    """The results of the checks that this machine makes. Ends the command without the package."""
    found = {point.name: point for point in entry_points(group="ringfence.doctor")}
    if "here" not in found:
        fail("--here needs the package ringfence-doctor on this machine; it is not installed.")
    findings: Sequence[_Finding] = found["here"].load()(only)
    return findings


def _examined_by_the_service(only: str | None) -> Sequence[_Finding]:
    """The results of the checks that cdr-ingest makes. Ends the command if it makes none."""
    if not os.environ.get("RINGFENCE_API") and not stack_file.read():
        fail(
            "no API is known here. Where ringfence runs, set RINGFENCE_API (such as"
            " http://127.0.0.1:8080) and RINGFENCE_TOKEN; before it runs, `ringfence doctor --here`"
            " examines from this machine, by the servers file of this folder.",
            EXIT_UNREACHABLE,
        )
    api = api_client()
    request_id = api.send("POST", "/examinations", json=given(server=only))["request_id"]
    job = _ended(api, request_id)
    if job["state"] != "done":
        fail(f"cdr-ingest did not examine: {job['message']}")
    return [{name: finding[name] for name in _KEYS} for finding in job["result"]["findings"]]


def _ended(api: ApiClient, request_id: str) -> Mapping[str, Any]:
    """The job once it has ended; its progress is shown meanwhile. Ends the command if it waits."""
    began = time.monotonic()
    with _ProgressLine() as line:
        while True:
            job = api.get(path_of("jobs", request_id))
            if job["state"] not in ("waiting", "running"):
                return job
            _refuse_to_wait(job["state"], time.monotonic() - began)
            line.show(job)
            time.sleep(_LOOK_EVERY_S)


def _refuse_to_wait(state: str, waited_s: float) -> None:
    if state == "waiting" and waited_s > BEGUN_WITHIN_S:
        fail(
            f"cdr-ingest has not begun within {BEGUN_WITHIN_S:.0f} s: does it run, and reach Kafka"
            " and the database? Its log says so. `ringfence doctor --here` examines without it.",
            EXIT_UNREACHABLE,
        )
    if waited_s > ENDED_WITHIN_S:
        fail(f"cdr-ingest has not ended within {ENDED_WITHIN_S:.0f} s; its log says why.")


class _ProgressLine:
    """A line on a terminal that shows how far a job is; it is removed at the end."""

    def __enter__(self) -> "_ProgressLine":
        return self

    def show(self, job: Mapping[str, Any]) -> None:
        """Replace the line by the job's progress."""
        if not sys.stderr.isatty():
            return
        text = job["progress"] or "waiting for cdr-ingest"
        count = "" if job["total"] is None else f"{job['done'] or 0}/{job['total']}  "
        room = shutil.get_terminal_size((_WIDEST, 24)).columns - 3
        click.echo(f"\r\x1b[K{f'{count}{text}'[:room]} …", nl=False, err=True)

    def __exit__(self, *_: object) -> None:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)


def print_findings(findings: Sequence[_Finding]) -> None:
    """Print the checks of each subject, one line each, what to do about them, and the totals."""
    checks = max((len(finding["check"]) for finding in findings), default=0)
    indent = " " * (2 + 4 + 2 + checks + 2)
    subject = None
    for finding in findings:
        if finding["subject"] != subject:
            subject = finding["subject"]
            click.secho(subject, bold=True)
        state = click.style(f"{finding['state']:4}", fg=_COLOURS[finding["state"]])
        click.echo(f"  {state}  {finding['check']:{checks}}  {_folded(finding['said'], indent)}")
        if finding["do"]:
            click.echo(f"{indent}→ {_folded(finding['do'], indent + '  ')}")
    click.echo(", ".join(f"{_count_of(findings, state)} {state}" for state in _COLOURS))


def _count_of(findings: Sequence[_Finding], state: str) -> int:
    return sum(finding["state"] == state for finding in findings)


def _folded(text: str, indent: str) -> str:
    """The text wrapped to the terminal's width beside the indent; words are not broken."""
    room = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns) - len(indent)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join(lines)
