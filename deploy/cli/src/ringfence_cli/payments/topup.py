"""`ringfence topup`: post a top-up; wait until it is posted and services are switched on."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click

from ringfence_cli.connection import ApiClient, ApiRefusal, api_client, path_of
from ringfence_cli.payments.posting import PaymentWatch, post
from ringfence_cli.tables import output_options, print_json, print_sentence
from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import parse_micro

_TWICE_S = 120
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
        _warn_of_twice(api, account, (kind, amount, reference))
        key = str(uuid4())
        click.echo(f"key {key} (to repeat after a failure: --key)", err=True)
    watch = PaymentWatch(api, account)
    body = {"amount": amount, "reference": reference, "kind": kind}
    posted = post(api, account, body, key)
    if no_wait:
        if as_json:
            print_json(posted.payment)
        else:
            print_sentence(posted.accepted())
        return
    found = watch.until_posted(posted.payment["payment_id"])
    if as_json:
        print_json({**posted.payment, **found.as_json()})
        return
    print_sentence(posted.sentence(found))
    for line in found.services:
        print_sentence(line)


def _warn_of_twice(api: ApiClient, account: str, typed: tuple[str, str, str]) -> None:
    """Ask, or warn where nobody can be asked, if the same was posted moments ago.

    `typed` is kind, amount and reference. It may be typed twice by mistake.
    """
    kind, amount, reference = typed
    try:
        micro = parse_micro(amount)
    except BadInput:
        return  # The API refuses it, in words.
    params = {"limit": _LOOKED_AT}
    found = api.attempt("GET", path_of("clients", account, "payments"), params=params)
    if isinstance(found, ApiRefusal):
        return
    for row in found["items"]:
        same = (row["kind"], row["amount_micro"], row["reference"]) == (kind, micro, reference)
        if same and not row["claimed_by"] and _age_s(row) < _TWICE_S:
            _ask_or_warn(row)
            return


def _ask_or_warn(row: dict[str, Any]) -> None:
    was = (
        f"{row['amount']} {row['currency']} was posted {_age_s(row):.0f} s ago"
        f" under key {row['idempotency_key']}"
    )
    if sys.stdin.isatty():
        click.confirm(f"{was}; post again?", abort=True, err=True)
    else:
        print_sentence(f"warning: {was}; it is posted again. With --key it is not.", err=True)


def _age_s(row: dict[str, Any]) -> float:
    received = datetime.fromisoformat(row["received_at"])
    return max(0.0, (datetime.now(UTC) - received).total_seconds())
