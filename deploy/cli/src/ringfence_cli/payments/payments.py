"""`ringfence payments`: payments, refunds, and payments that wait to be claimed."""

from typing import Any

import click

from ringfence_cli.connection import api_client, path_of
from ringfence_cli.payments.claims import claim
from ringfence_cli.payments.posting import PaymentWatch
from ringfence_cli.tables import (
    field,
    instant,
    limit_option,
    moment,
    output_options,
    print_json,
    print_sentence,
    show_rows,
    show_warnings,
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
    """List the payments of ACCOUNT, the newest first; below each its id, by whom, and for what.

    Example: ringfence payments list acme-1001 --limit 10
    """
    columns = (
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
    parts = [f"{row['payment_id']} by {row['received_by']}"]
    if row["reference"]:
        parts.append(str(row["reference"]))
    if row.get("refunds"):
        parts.append(f"refunds {row['refunds']}")
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
    """Take AMOUNT of a payment back: PAYMENT is its id or its key. Never more than was paid.

    Example: ringfence payments refund acme-1001 receipt-4711 5.00 --key refund-4711
    """
    api = api_client()
    watch = PaymentWatch(api, account)
    answer = api.send(
        "POST",
        path_of("clients", account, "payments"),
        json={"amount": amount, "kind": "refund", "payment": payment, "reference": reference},
        headers={"Idempotency-Key": key},
    )
    show_warnings(answer)
    found = watch.until_posted(answer["payment_id"])
    if as_json:
        print_json({**answer, **found.as_json()})
    else:
        money = f"{answer['amount']} {answer['currency']}"
        print_sentence(f"{money} {found.sentence(account, answer['currency'])}")


@payments.command("unclaimed")
@output_options
def unclaimed(as_json: bool) -> None:
    """List payments that arrived at rating and that accounts does not hold: none is posted.

    Example: ringfence payments unclaimed
    """
    columns = (
        titled("account", "account_id"),
        field("kind"),
        field("amount"),
        titled("cur", "currency"),
        instant("received", "received_at"),
        instant("waits since", "since"),
    )
    show_rows(
        api_client().listing("/payments/unclaimed"),
        columns,
        as_json=as_json,
        empty="No payment waits to be claimed.",
        noun="payment",
        detail=lambda row: f"{row['payment_id']}: {row.get('claim_problem') or row['reason']}",
        shrinks="kind",
    )
