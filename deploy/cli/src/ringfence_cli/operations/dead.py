"""`ringfence dead`: records that a service could not process; handle one again, drop one."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from ringfence.console.output import wrapped
from ringfence_cli.clients.orders import reason_option
from ringfence_cli.connection import api_client, given, path_of
from ringfence_cli.service_commands import await_answer, show_answer
from ringfence_cli.tables import (
    field,
    instant,
    limit_option,
    output_options,
    print_json,
    short_id,
    show_facts,
    show_rows,
    titled,
)

STATES = ("dead", "retried", "dropped")


@click.group()
def dead() -> None:
    """Show the records that a service could not process; handle one again.

    A dead record was set aside with its reason, and the rest went on.

    Example: ringfence dead list
    """


@dead.command("list")
@click.option("--consumer", help="Those that this service could not process, such as rating.")
@click.option("--topic", help="Those of this topic, or of those that begin like that.")
@click.option(
    "--state", type=click.Choice((*STATES, "all")), default="dead", show_default=True,
    help="Those in this state.",
)  # fmt: skip
@limit_option(50)
@output_options
def list_dead(
    consumer: str | None, topic: str | None, state: str, limit: int, as_json: bool
) -> None:
    """List dead records with their reasons, the newest first.

    Example: ringfence dead list --consumer rating --topic call.completed
    """
    wanted = None if state == "all" else state
    columns = (
        short_id("id", "dead_id"),
        instant("died", "dead_at"),
        titled("consumer", "consumer"),
        field("topic"),
        field("state"),
    )
    show_rows(
        api_client().listing("/dead", limit, consumer=consumer, topic=topic, state=wanted),
        columns,
        as_json=as_json,
        empty="No dead records." if not (consumer or topic) else "No such dead records.",
        noun="dead record",
        detail=_what,
        shrinks="topic",
    )


def _what(row: Mapping[str, Any]) -> str:
    """The line below a record: its key, its reason, and what was decided."""
    key = f"{row['key']}: " if row["key"] else ""
    why = f": {row['decided_why']}" if row["decided_why"] else ""
    decided = f" ({row['state']} by {row['decided_by']}{why})" if row["decided_by"] else ""
    return f"{key}{row['reason']}{decided}"


@dead.command("show")
@click.argument("dead_id", metavar="ID")
@output_options
def show_dead(dead_id: str, as_json: bool) -> None:
    """Show one dead record with its content.

    ID is the record's id, or its first digits as `ringfence dead list` shows.

    Example: ringfence dead show 5c1f1c50
    """
    found = dict(api_client().get(path_of("dead", dead_id)))
    if as_json:
        print_json(found)
        return
    headers = found.pop("headers")
    show_facts(found, as_json=False, skip=("value", "traceback"))
    for name, value in headers.items():
        click.echo(wrapped(_clean(f"{name}: {value}"), sys.stdout, indent="  "))
    click.echo(f"\n{_clean(found['value']) or 'Its bytes are not kept.'}")
    if found["traceback"]:
        click.echo(f"\n{_clean(found['traceback'])}")


def _clean(text: str) -> str:
    """The text without characters that would move the cursor."""
    return "".join(c for c in text if c == "\n" or c.isprintable())


@dead.command("retry")
@click.argument("dead_id", metavar="ID")
@reason_option
@output_options
def retry(dead_id: str, reason: str | None, as_json: bool) -> None:
    """Have the service handle a record again now.

    Do it when its reason is removed. What was done before is not done twice.

    Example: ringfence dead retry 5c1f1c50 --reason "the client exists now"
    """
    _ask(dead_id, "retry", reason, as_json)


@dead.command("drop")
@click.argument("dead_id", metavar="ID")
@click.option("--reason", required=True, help="Why nothing is done with it, for a later reader.")
@output_options
def drop(dead_id: str, reason: str, as_json: bool) -> None:
    """Mark a record as dropped: nothing more is done with it.

    Example: ringfence dead drop 5c1f1c50 --reason "a test call"
    """
    _ask(dead_id, "drop", reason, as_json)


def _ask(dead_id: str, what: str, reason: str | None, as_json: bool) -> None:
    api = api_client()
    accepted = api.send("POST", path_of("dead", dead_id, what), json=given(reason=reason))
    show_answer(
        await_answer(api, accepted["request_id"]),
        shows=f"ringfence dead show {dead_id}",
        service="its service",
        as_json=as_json,
    )
