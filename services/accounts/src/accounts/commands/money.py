"""`ringfence topup` and `ringfence ledger`: money in, and where a balance comes from."""

from uuid import uuid4

import click

from accounts.commands.connection import front_door, path_of
from accounts.commands.tables import (
    as_json,
    field,
    limit_option,
    moment,
    show_facts,
    show_rows,
    titled,
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("account")
@click.argument("amount")
@click.option("--key", help="idempotency key; with the same one, nothing is posted twice")
@click.option("--reference", default="", help="what it is for, such as a receipt's number")
@click.option("--adjustment", is_flag=True, help="a correction by hand, which may be negative")
@as_json
def topup(
    account: str, amount: str, key: str | None, reference: str, adjustment: bool, json_wanted: bool
) -> None:
    """Post a top-up of AMOUNT, such as 20.00, to ACCOUNT."""
    if key is None:
        key = str(uuid4())
        click.echo(f"key {key} (to try again after a failure, add --key {key})", err=True)
    body = {
        "amount": amount,
        "reference": reference,
        "kind": "adjustment" if adjustment else "top-up",
    }
    headers = {"Idempotency-Key": key}
    place = path_of("clients", account, "payments")
    answer = front_door().ask("POST", place, json=body, headers=headers)
    show_facts(answer, json_wanted=json_wanted)


@click.command()
@click.argument("account")
@limit_option()
@as_json
def ledger(account: str, limit: int, json_wanted: bool) -> None:
    """Show ACCOUNT's ledger, the newest entry first."""
    columns = (
        field("version"),
        moment("posted", "posted_at"),
        field("kind"),
        field("amount"),
        titled("balance", "balance_after"),
        ("entry", lambda row: str(row["entry_id"])[:8]),
    )
    rows = front_door().pages(path_of("clients", account, "ledger"), limit)
    show_rows(rows, columns, json_wanted=json_wanted, empty=f"Nothing was posted to {account} yet.")
