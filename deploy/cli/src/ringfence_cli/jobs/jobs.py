"""`ringfence jobs`: long work that services do on request, how far it is, and its result."""

from collections.abc import Callable

import click

from ringfence_cli.connection import ApiClient, api_client, path_of
from ringfence_cli.jobs.awaiting import JobFacts
from ringfence_cli.jobs.replay import show_replay
from ringfence_cli.jobs.rerate import show_rerating
from ringfence_cli.jobs.short_ids import full_id
from ringfence_cli.jobs.verify import show_verification
from ringfence_cli.servers.doctor import print_findings
from ringfence_cli.tables import (
    TableRow,
    field,
    limit_option,
    moment,
    output_options,
    print_json,
    show_facts,
    show_rows,
    titled,
)

_RESULTS: dict[str, Callable[[JobFacts], None]] = {
    "verify": lambda found: show_verification(found, as_json=False),
    "rerate.dry_run": lambda found: show_rerating(found, undoes=False, as_json=False),
    "rerate.apply": lambda found: show_rerating(found, undoes=False, as_json=False),
    "rerate.undo": lambda found: show_rerating(found, undoes=True, as_json=False),
    "unrated.replay": lambda found: show_replay(found, as_json=False),
    "doctor.examine": lambda found: print_findings(found["findings"]),
}


@click.group(invoke_without_command=True)
@limit_option(20)
@output_options
@click.pass_context
def jobs(context: click.Context, limit: int, as_json: bool) -> None:
    """Show long work that services do on request: verify, rerate, replay, examine.

    The newest is first; 30 days are kept. Example: ringfence jobs show 1f0a4a57
    """
    if context.invoked_subcommand is None:
        _list(limit, as_json)


@jobs.command("list")
@limit_option(20)
@output_options
def list_jobs(limit: int, as_json: bool) -> None:
    """Show the jobs: the same as `ringfence jobs`.

    Example: ringfence jobs list --limit 5
    """
    _list(limit, as_json)


@jobs.command("show")
@click.argument("job", metavar="ID")
@output_options
def show_job(job: str, as_json: bool) -> None:
    """Show how far a job is, and its result when it is done.

    ID may be shortened to its first characters. Example: ringfence jobs show 1f0a4a57
    """
    api = api_client()
    found = api.get(path_of("jobs", _job_id(api, job)))
    if as_json:
        print_json(found)
        return
    show_facts(_facts(found), as_json=False)
    if found["state"] == "done":
        click.echo()
        show = _RESULTS.get(found["command"])
        if show is None:
            print_json(found["result"])
        else:
            show(found["result"])


def _list(limit: int, as_json: bool) -> None:
    columns = (
        moment("requested", "requested_at"),
        titled("job", "command"),
        field("service"),
        titled("by", "requested_by"),
        ("state", _state),
        ("id", lambda row: str(row["request_id"])[:8]),
    )
    rows = api_client().listing("/jobs", limit)
    show_rows(rows, columns, as_json=as_json, empty="No job was requested yet.", noun="job")


def _state(job: TableRow) -> str:
    """`running 31 of 311 clients`, `waiting`, `done`."""
    if job["state"] != "running":
        return str(job["state"])
    count = f" {job['done']:,} of {job['total']:,}" if job["total"] is not None else ""
    return f"running{count} {job['progress']}".rstrip()


def _facts(job: JobFacts) -> dict[str, object]:
    """What there is to say about a job; what is empty is left out."""
    arguments = {name: value for name, value in job["arguments"].items() if value}
    facts = {
        "job": f"{job['command']} by {job['service']}",
        "id": job["request_id"],
        "arguments": arguments,
        "requested_by": job["requested_by"],
        "requested_at": job["requested_at"],
        "started_at": job["started_at"],
        "finished_at": job["finished_at"],
        "state": _state(job),
        "message": job["message"],
    }
    return {name: value for name, value in facts.items() if value}


def _job_id(api: ApiClient, text: str) -> str:
    return full_id(
        "ID",
        text,
        lambda: (row["request_id"] for row in api.listing("/jobs").rows),
        "the id of a job, as `ringfence jobs` shows it",
    )
