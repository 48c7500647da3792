"""`ringfence alarms` and `ringfence servers`: what needs a person, and what is switched."""

from typing import Any

import click

from accounts.commands.connection import front_door
from accounts.commands.tables import (
    field,
    instant,
    limit_option,
    output_options,
    print_json,
    show_rows,
    show_warnings,
    titled,
)


@click.command()
@click.option("--all", "everything", is_flag=True, help="those that ended too")
@limit_option()
@output_options
def alarms(everything: bool, limit: int | None, json_wanted: bool) -> None:
    """List what needs a person: open alarms, the newest first.

    Example: ringfence alarms --all --limit 20
    """
    columns = (
        instant("raised", "raised_at"),
        *((instant("ended", "ended_at"),) if everything else ()),
        field("severity"),
        titled("alarm", "key"),
    )
    show_rows(
        front_door().listing("/alarms", limit, state="all" if everything else "open"),
        columns,
        json_wanted=json_wanted,
        empty="No alarms." if everything else "No open alarms.",
        noun="alarm",
        detail=_what,
        shrinks="alarm",
    )


def _what(row: Any) -> str:
    """What an alarm is about, what is the case, and what ends it."""
    about = "" if row["subject"] == row["key"] else f"{row['subject']}: "
    return f"{about}{row['message'].rstrip('.')}. To do: {row['what_to_do']}"


@click.command()
@output_options
def servers(json_wanted: bool) -> None:
    """List the servers that products may name: those of the servers file.

    Example: ringfence servers
    """
    answer = front_door().get("/servers")
    show_warnings(answer)
    if json_wanted:
        print_json(answer["items"])
        return
    columns = (titled("server", "server_id"), field("kind"), field("address"))
    show_rows(answer["items"], columns, json_wanted=False, empty="No servers.", noun="server")
