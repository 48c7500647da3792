"""`ringfence mails`: mails, their states and reasons; resend one."""

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

STATES = ("waiting", "sent", "in doubt", "failed", "dropped")


@click.group(invoke_without_command=True)
@click.option("--client", help="Those to this client only.")
@click.option(
    "--state",
    type=click.Choice((*STATES, "in-doubt"), case_sensitive=False),
    metavar="|".join((*STATES[:2], "in-doubt", *STATES[3:])),
    help="Those in this state only.",
)
@limit_option(50)
@output_options
@click.pass_context
def mails(
    context: click.Context, client: str | None, state: str | None, limit: int, as_json: bool
) -> None:
    """Show which mails were sent, wait, failed or were dropped, the newest first.

    In doubt: the server may have taken it, and its answer is lost.
    `mails show ID` has the words; `mails resend ID` sends one again.
    Example: ringfence mails --client acme-1001 --state in-doubt
    """
    if context.invoked_subcommand is not None:
        return
    wanted = "in doubt" if state == "in-doubt" else state
    columns = (
        short_id("id", "notice_id"),
        instant("owed", "created_at"),
        titled("client", "account_id"),
        field("template"),
        field("state"),
    )
    show_rows(
        api_client().listing("/notices", limit, client=client, state=wanted),
        columns,
        as_json=as_json,
        empty="No mails." if not (client or state) else "No such mails.",
        noun="mail",
        detail=_what,
        shrinks="client",
    )


def _what(row: Mapping[str, Any]) -> str:
    """The line below a mail: recipient, subject, and the reason of its state."""
    parts = [f"To {row['recipient']}: {row['subject']}"] if row["recipient"] else []
    return ". ".join([*parts, *filter(None, [row["reason"]])])


@mails.command("show")
@click.argument("notice_id", metavar="ID")
@click.option("--html", is_flag=True, help="Print the HTML part alone.")
@output_options
def show_mail(notice_id: str, html: bool, as_json: bool) -> None:
    """Show one mail: its state, the reason, and the words as they were sent.

    ID is the mail's id, or its first digits as `ringfence mails` lists them.

    Example: ringfence mails show 5c1f1c50
    """
    found = dict(api_client().get(path_of("notices", notice_id)))
    if as_json:
        print_json(found)
    elif html:
        click.echo(_clean(found["html"]))
    else:
        show_facts(found, as_json=False, skip=("text", "html"))
        words = wrapped(_clean(found["text"]).strip(), sys.stdout, indent="")
        click.echo(f"\n{words}" if words else "\nIt has no words yet: they are written when sent.")


def _clean(text: str) -> str:
    """The text without characters that would move the cursor."""
    return "".join(c for c in text if c == "\n" or c.isprintable())


@mails.command("resend")
@click.argument("notice_id", metavar="ID")
@reason_option
@output_options
def resend(notice_id: str, reason: str | None, as_json: bool) -> None:
    """Send a mail again that is in doubt, or that failed, if it is still true.

    A client may read a mail in doubt twice then. ID is as in `ringfence mails`.

    Example: ringfence mails resend 5c1f1c50 --reason "not received"
    """
    api = api_client()
    accepted = api.send("POST", path_of("notices", notice_id, "resend"), json=given(reason=reason))
    show_answer(
        await_answer(api, accepted["request_id"]),
        shows=f"ringfence mails show {notice_id}",
        service="notifier",
        as_json=as_json,
    )
