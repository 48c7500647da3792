"""`ringfence payments`: payments, refunds, and payments that wait to be claimed."""

from typing import Any

import click

from ringfence_cli.connection import api_client, path_of
from ringfence_cli.payments.claims import claim
from ringfence_cli.payments.posting import PaymentWatch, post
from ringfence_cli.tables import (
    SHORT_ID,
    field,
    instant,
    limit_option,
    moment,
    output_options,
    print_json,
    print_sentence,
    short_id,
    show_rows,
    titled,
)


@click.group()
def payments() -> None:
    """Payments: list, refund, unclaimed, claim."""


payments.add_command(claim)


@payments.command("list")
@click.argument("account")
@limit_option()
@output_options
def list_payments(account: str, limit: int | None, as_json: bool) -> None:
    """List the payments of ACCOUNT, the newest first; below each by whom, its key, and for what.

    `ringfence payments refund` takes the digits in front.

    Example: ringfence payments list acme-1001 --limit 10
    """
    columns = (
        short_id("payment", "payment_id"),
        moment("received", "received_at"),
        ("kind", lambda row: "refund" if row.get("refunds") else row["kind"]),
        field("amount"),
        titled("cur", "currency"),
        ("balance", lambda row: row["balance_after"] if row["posted"] else "not posted"),
        ("refunded", lambda row: row["refunded"] if row["refunded_micro"] else ""),
    )
    show_rows(
        api_client().listing(path_of("clients", account, "payments"), limit),
        columns,
        as_json=as_json,
        empty=f"No payments of {account} yet.",
        noun="payment",
        detail=_more,
        shrinks="kind",
    )


def _more(row: Any) -> str:
    parts = [f"by {row['received_by']}"]
    if row["idempotency_key"]:
        parts.append(f"key {row['idempotency_key']}")
    if row["reference"]:
        parts.append(str(row["reference"]))
    if row.get("refunds"):
        parts.append(f"refunds {row['refunds'][:SHORT_ID]}")
    return ", ".join(parts)


@payments.command("refund")
@click.argument("account")
@click.argument("payment")
@click.argument("amount")
@click.option("--key", required=True, help="idempotency key; the same one refunds once")
@click.option("--reference", default="", help="what it is for")
@output_options
def refund(
    account: str, payment: str, amount: str, key: str, reference: str, as_json: bool
) -> None:
    """Take AMOUNT of a payment back, never more than was paid.

    PAYMENT is its key, its id, or the first digits of that as `ringfence payments list` has them.

    Example: ringfence payments refund acme-1001 receipt-4711 5.00 --key refund-4711
    """
    api = api_client()
    watch = PaymentWatch(api, account)
    body = {"amount": amount, "kind": "refund", "payment": payment, "reference": reference}
    posted = post(api, account, body, key)
    found = watch.until_posted(posted.payment["payment_id"])
    if as_json:
        print_json({**posted.payment, **found.as_json()})
    else:
        print_sentence(posted.sentence(found))


@payments.command("unclaimed")
@output_options
def unclaimed(as_json: bool) -> None:
    """List payments that arrived at rating and that accounts does not hold: none is posted.

    `ringfence payments claim` enters them; it takes the digits in front.

    Example: ringfence payments unclaimed
    """
    columns = (
        short_id("payment", "payment_id"),
        titled("account", "account_id"),
        field("kind"),
        field("amount"),
        titled("cur", "currency"),
        instant("received", "received_at"),
        instant("waiting", "since"),
    )
    show_rows(
        api_client().listing("/payments/unclaimed"),
        columns,
        as_json=as_json,
        empty="No payment waits to be claimed.",
        noun="payment",
        detail=lambda row: str(row.get("claim_problem") or row["reason"]),
        shrinks="account",
    )
