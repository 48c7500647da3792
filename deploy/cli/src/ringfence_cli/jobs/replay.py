"""`ringfence unrated replay`: another attempt for calls of the unrated queue."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click

from ringfence_cli.connection import ApiClient, api_client, fail, given
from ringfence_cli.jobs.awaiting import no_wait_option, request_job, result_of, show_requested
from ringfence_cli.tables import (
    field,
    output_options,
    plural,
    print_json,
    print_sentence,
    show_rows,
    titled,
)

_SHORTEST_ID = 4
_DIGITS = frozenset("0123456789abcdef-")


@click.command()
@click.argument("calls", nargs=-1, metavar="[CALL]…")
@click.option("--reason", help="Only calls that wait for this reason, such as no-matching-prefix.")
@click.option("--tenant", help="Only calls of this tenant.")
@click.option("--all", "everything", is_flag=True, help="All calls of the queue.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, max=600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the outcome.",
)
@no_wait_option
@output_options
def replay(
    calls: tuple[str, ...],
    reason: str | None,
    tenant: str | None,
    everything: bool,
    wait_s: float,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Rate unrated calls again after the cause was corrected.

    CALL is a call's id, or its first characters. Without any choice, this shows what waits.
    Each call is charged once, however often it is tried.

    Example: ringfence unrated replay --reason no-matching-prefix
    """
    chosen = given(calls=[_short_id(call) for call in calls] or None, reason=reason, tenant=tenant)
    if everything and chosen:
        raise click.UsageError("--all goes with no other choice.")
    api = api_client()
    if not (everything or chosen):
        _show_waiting(api, as_json=as_json)
        return
    job_id = request_job(api, "/unrated/replays", {**chosen, "all": everything, "wait_s": wait_s})
    if no_wait:
        show_requested(job_id, as_json=as_json)
    else:
        show_replay(result_of(api, job_id), as_json=as_json)


def show_replay(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how many calls were settled, and why the others wait."""
    if as_json:
        print_json(found)
        return
    marked = plural(found["marked"], "call")
    if not found["marked"]:
        click.echo("No such call waits to be rated.")
        return
    if found["not_tried"]:
        click.echo(f"{found['not_tried']} of {marked} are marked; rating tries them next.")
    if found["settled"] or not found["not_tried"]:
        click.echo(f"{found['settled']} of {marked} settled.")
    for row in found["waiting"]:
        click.echo(f"{row['calls']} still wait: {row['reason']}")


def _short_id(text: str) -> str:
    prefix = text.strip().lower()
    if len(prefix) < _SHORTEST_ID or not set(prefix) <= _DIGITS:
        fail(f"CALL: got {text!r}, expected a call's id, or at least its first 4 digits")
    return prefix


def _show_waiting(api: ApiClient, *, as_json: bool) -> None:
    rows = api.get("/unrated/waiting")["items"]
    columns = (
        field("reason"),
        field("calls"),
        titled("seconds", "billsec"),
        ("oldest", lambda row: timedelta(seconds=row["oldest_s"])),
    )
    show_rows(rows, columns, as_json=as_json, empty="No call waits to be rated.")
    if rows and not as_json:
        calls, seconds = (sum(row[name] for row in rows) for name in ("calls", "billsec"))
        click.echo(f"{plural(calls, 'call')}, {seconds:,} seconds.")
        print_sentence(
            "To rate them again: ringfence unrated replay --all, or --reason, --tenant, CALL…."
        )
