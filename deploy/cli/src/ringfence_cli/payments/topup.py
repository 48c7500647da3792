"""`ringfence topup`: post a top-up; wait until it is posted and services are switched on."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click

from ringfence_cli.connection import ApiClient, ApiRefusal, api_client, path_of
from ringfence_cli.payments.posting import PaymentWatch
from ringfence_cli.tables import output_options, print_json, print_sentence, show_warnings
from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import parse_micro

_TWICE_S = 60
_LOOKED_AT = 20


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("account")
@click.argument("amount")
@click.option("--key", help="idempotency key; with the same one, nothing is posted twice")
@click.option("--reference", default="", help="what it is for, such as a receipt's number")
@click.option("--adjustment", is_flag=True, help="a correction by hand, which may be negative")
@click.option("--no-wait", is_flag=True, help="do not wait until it is posted")
@output_options
def topup(
    account: str,
    amount: str,
    key: str | None,
    reference: str,
    adjustment: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Post a top-up to ACCOUNT, and say what is on again by it.

    Example: ringfence topup acme-1001 20.00 --key receipt-4711
    """
    kind = "adjustment" if adjustment else "top-up"
    api = api_client()
    if key is None:
        _warn_of_twice(api, account, kind, amount)
        key = str(uuid4())
        click.echo(f"key {key} (to repeat after a failure: --key)", err=True)
    watch = PaymentWatch(api, account)
    answer = api.send(
        "POST",
        path_of("clients", account, "payments"),
        json={"amount": amount, "reference": reference, "kind": kind},
        headers={"Idempotency-Key": key},
    )
    show_warnings(answer)
    money = f"{answer['amount']} {answer['currency']}"
    if no_wait:
        if as_json:
            print_json(answer)
        else:
            click.echo(f"{money} accepted for {account}.")
        return
    found = watch.until_posted(answer["payment_id"])
    if as_json:
        print_json({**answer, **found.as_json()})
        return
    print_sentence(f"{money} {found.sentence(account, answer['currency'])}")
    for line in found.services:
        print_sentence(line)


def _warn_of_twice(api: ApiClient, account: str, kind: str, amount: str) -> None:
    """Warn where the same amount was posted within a minute: it may be typed twice."""
    try:
        micro = parse_micro(amount)
    except BadInput:
        return  # The API refuses it, in words.
    params = {"limit": _LOOKED_AT}
    found = api.attempt("GET", path_of("clients", account, "payments"), params=params)
    if isinstance(found, ApiRefusal):
        return
    for row in found["items"]:
        same = (row["kind"], row["amount_micro"]) == (kind, micro)
        if same and not row["claimed_by"] and _age_s(row) < _TWICE_S:
            print_sentence(
                f"warning: the same amount was posted {_age_s(row):.0f} s ago"
                f" (key {row['idempotency_key']}); to post it once, use --key",
                err=True,
            )
            if sys.stdin.isatty():
                click.confirm("Post it again?", abort=True, err=True)
            return


def _age_s(row: dict[str, Any]) -> float:
    received = datetime.fromisoformat(row["received_at"])
    return max(0.0, (datetime.now(UTC) - received).total_seconds())
