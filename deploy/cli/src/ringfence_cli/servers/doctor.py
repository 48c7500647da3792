"""`ringfence doctor`: checks what the product depends on, and prints what to do about problems.

cdr-ingest makes the checks, because it has the credentials of the PBXs; the API shows the results.
`--here` makes them on this machine, by the package ringfence-doctor.
"""

import os
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

import click

from ringfence import stack_file
from ringfence_cli.connection import EXIT_UNREACHABLE, api_client, fail, given
from ringfence_cli.jobs.awaiting import request_job, result_of
from ringfence_cli.tables import print_json

_KEYS = ("subject", "check", "state", "said", "do")
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

    Example: ringfence doctor --server pbx1
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
    job_id = request_job(api, "/examinations", given(server=only))
    findings = result_of(api, job_id)["findings"]
    return [{name: finding[name] for name in _KEYS} for finding in findings]


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
