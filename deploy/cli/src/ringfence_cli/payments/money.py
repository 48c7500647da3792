"""`ringfence ledger` and `ringfence outstanding`: ledger entries, and unpaid invoices."""

import click

from ringfence_cli.connection import api_client, given, path_of
from ringfence_cli.tables import (
    field,
    limit_option,
    moment,
    output_options,
    print_json,
    print_sentence,
    short_id,
    show_rows,
    show_warnings,
    titled,
)
from ringfence_cli.times import parse_instant, sentence


@click.command()
@click.argument("account")
@limit_option(20)
@output_options
def ledger(account: str, limit: int, as_json: bool) -> None:
    """Show ACCOUNT's ledger, the newest entry first.

    `ringfence explain call` takes the digits of a charge in front.

    Example: ringfence ledger acme-1001 --limit 20
    """
    columns = (
        short_id("entry", "entry_id"),
        field("version"),
        moment("posted", "posted_at"),
        field("kind"),
        field("amount"),
        titled("balance", "balance_after"),
    )
    rows = api_client().listing(path_of("clients", account, "ledger"), limit)
    empty = f"Nothing was posted to {account} yet."
    show_rows(rows, columns, as_json=as_json, empty=empty, noun="entry")


@click.command()
@click.argument("account")
@click.argument("amount")
@click.option(
    "--as-of", help="when the invoices were read, such as 2026-12-01T17:00; left out: now"
)
@click.option("--currency", help="checked against the account's")
@output_options
def outstanding(
    account: str, amount: str, as_of: str | None, currency: str | None, as_json: bool
) -> None:
    """Set what ACCOUNT owes on unpaid invoices.

    Example: ringfence outstanding acme-1001 20.00
    """
    body = given(amount=amount, as_of=parse_instant("--as-of", as_of), currency=currency)
    answer = api_client().send("PUT", path_of("clients", account, "outstanding"), json=body)
    show_warnings(answer)
    if as_json:
        print_json(answer)
        return
    kept = f"{answer['outstanding']} {answer['currency']}"
    read = f", as of {sentence(answer['outstanding_as_of'])}" if answer["outstanding_as_of"] else ""
    if answer["applied"]:
        print_sentence(f"{account} owes {kept} on unpaid invoices{read}; {answer['what_happens']}.")
    else:
        print_sentence(f"Nothing changed: {kept}{read} is newer than what was given.")
