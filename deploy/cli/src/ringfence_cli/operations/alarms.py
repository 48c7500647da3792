"""`ringfence alarms`: what needs a person."""

from typing import Any

import click

from ringfence_cli.connection import api_client
from ringfence_cli.tables import field, instant, limit_option, output_options, show_rows, titled


@click.command()
@click.option("--all", "everything", is_flag=True, help="those that ended too")
@limit_option()
@output_options
def alarms(everything: bool, limit: int | None, as_json: bool) -> None:
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
        api_client().listing("/alarms", limit, state="all" if everything else "open"),
        columns,
        as_json=as_json,
        empty="No alarms." if everything else "No open alarms.",
        noun="alarm",
        detail=_what,
        shrinks="alarm",
    )


def _what(row: Any) -> str:
    """The line below an alarm: its subject, the message, and what to do."""
    about = "" if row["subject"] == row["key"] else f"{row['subject']}: "
    return f"{about}{row['message'].rstrip('.')}. To do: {row['what_to_do']}"
