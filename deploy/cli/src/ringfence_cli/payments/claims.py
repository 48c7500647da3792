"""`ringfence payments claim`: enter payments that accounts lost but the topic has."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ringfence_cli.connection import ApiClient, api_client, fail, path_of
from ringfence_cli.tables import (
    output_options,
    plural,
    print_json,
    print_sentence,
    short_id,
    show_rows,
    titled,
)
from ringfence_contracts.money import format_micro

EXIT_NOT_ALL = 1
_AT_ONCE = 500
_LEAST_DIGITS = 4
_SENT = (
    "payment_id", "account_id", "kind", "amount", "currency", "reference", "received_at", "refunds"
)  # fmt: skip
PaymentFields = Mapping[str, Any]


@click.command("claim")
@click.argument("payment_ids", nargs=-1, metavar="[PAYMENT_ID]…")
@click.option("--all", "everything", is_flag=True, help="every payment that waits to be claimed")
@click.option("--from-topic", is_flag=True, help="every payment of the topic that accounts lacks")
@click.option("--bootstrap", help="host:port of the broker; left out: as the services know it")
@click.option("--reason", required=True, help="why they are right, for a later reader")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_options
def claim(
    payment_ids: tuple[str, ...],
    everything: bool,
    from_topic: bool,
    bootstrap: str | None,
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Enter payments in accounts under their own ids, so that they are posted.

    For payments that `ringfence payments unclaimed` lists, by the digits in front. After accounts
    was restored from a backup, --from-topic finds all that it lost. Anybody with write access can
    put a payment there: compare count and sums with your books before you agree.

    Example: ringfence payments claim --from-topic --reason "restored from last night"
    """
    if bool(payment_ids) + everything + from_topic != 1:
        fail("which payments? Give their ids, or --all, or --from-topic")
    api = api_client()
    found = _of_the_topic(api, bootstrap) if from_topic else _waiting(api, payment_ids, everything)
    if not found:
        if as_json:
            print_json([])
        else:
            click.echo("Nothing to claim: accounts holds every payment.")
        return
    _confirm(found, yes=yes, as_json=as_json)
    items = [
        item
        for at in range(0, len(found), _AT_ONCE)
        for item in _post(api, found[at : at + _AT_ONCE], reason)
    ]
    _show(items, found, as_json=as_json)


def _waiting(api: ApiClient, ids: Sequence[str], everything: bool) -> list[PaymentFields]:
    rows = {str(row["payment_id"]): row for row in api.listing("/payments/unclaimed").rows}
    if everything:
        return list(rows.values())
    found = {each: [known for known in rows if _begins(known, each)] for each in ids}
    unknown = [each for each, candidates in found.items() if not candidates]
    if unknown:
        fail(
            f"not waiting to be claimed: {', '.join(unknown)}."
            " `ringfence payments unclaimed` lists those that are."
        )
    for each, candidates in found.items():
        if len(candidates) > 1:
            fail(f"{each}: several begin like that, type more: {', '.join(sorted(candidates))}")
    return [rows[known] for known in dict.fromkeys(each for (each,) in found.values())]


def _begins(payment_id: str, typed: str) -> bool:
    digits = typed.lower().replace("-", "")
    return len(digits) >= _LEAST_DIGITS and payment_id.replace("-", "").startswith(digits)


def _of_the_topic(api: ApiClient, bootstrap: str | None) -> list[PaymentFields]:
    """The payments of the topic that accounts does not have, the oldest first."""
    from ringfence.stack_file import kafka_brokers
    from ringfence_cli.payments.topic_payments import read_topic

    read = read_topic(kafka_brokers(bootstrap or ""))
    if read.unreadable:
        click.echo(
            f"warning: {plural(read.unreadable, 'record')} cannot be read: left out", err=True
        )
    missing: list[PaymentFields] = []
    by_account = read.by_account()
    for number, (account, payments) in enumerate(sorted(by_account.items()), 1):
        held = _held(api, account)
        missing += [each for each in payments if each["payment_id"] not in held]
        if number % 100 == 0:
            click.echo(f"compared: {number} of {plural(len(by_account), 'client')}", err=True)
    # Refunds last: accounts accepts a refund only after the payment that it refunds.
    return sorted(missing, key=lambda each: (each["refunds"] is not None, each["received_at"]))


def _held(api: ApiClient, account: str) -> set[str]:
    if api.find(path_of("clients", account)) is None:
        return set()
    rows = api.listing(path_of("clients", account, "payments")).rows
    return {str(row["payment_id"]) for row in rows}


def _confirm(found: Sequence[PaymentFields], *, yes: bool, as_json: bool) -> None:
    click.echo(f"{plural(len(found), 'payment')} to enter, {_sums(found)}.", err=True)
    if yes:
        return
    if as_json:
        fail("with --json nothing is asked: add --yes")
    click.confirm("Enter them?", abort=True, err=True)


def _sums(found: Sequence[PaymentFields]) -> str:
    """The sum in each currency."""
    sums: Counter[str] = Counter()
    for each in found:
        sums[each["currency"]] += each["amount_micro"]
    return ", ".join(f"{format_micro(sums[cur])} {cur}" for cur in sorted(sums))


def _post(api: ApiClient, found: Sequence[PaymentFields], reason: str) -> list[dict[str, Any]]:
    payments = [
        {name: each[name] for name in _SENT if each.get(name) is not None} for each in found
    ]
    body = {"reason": reason, "payments": payments}
    items: list[dict[str, Any]] = api.send("POST", "/payments/claims", json=body)["items"]
    return items


def _show(
    items: Sequence[Mapping[str, Any]], found: Sequence[PaymentFields], *, as_json: bool
) -> None:
    """Print how many were entered, and each refused one. Exits with 1 if any was refused."""
    outcomes = Counter(item["outcome"] for item in items)
    if as_json:
        print_json(items)
    else:
        entered = {str(item["payment_id"]) for item in items if item["outcome"] == "claimed"}
        claimed = [each for each in found if str(each["payment_id"]) in entered]
        sums = f", {_sums(claimed)}" if claimed else ""
        posted = ": rating posts them within seconds" if claimed else ""
        print_sentence(f"{plural(outcomes['claimed'], 'payment')} entered{sums}{posted}.")
        if outcomes["known"]:
            click.echo(f"{plural(outcomes['known'], 'payment')} known already.")
        _show_refused([item for item in items if item["outcome"] == "refused"], found)
    if outcomes["refused"]:
        raise SystemExit(EXIT_NOT_ALL)


def _show_refused(refused: Sequence[Mapping[str, Any]], found: Sequence[PaymentFields]) -> None:
    if not refused:
        return
    payments = {str(each["payment_id"]): each for each in found}
    rows = [{**payments[str(item["payment_id"])], **item} for item in refused]
    columns = (
        short_id("refused", "payment_id"),
        titled("account", "account_id"),
        titled("amount", "amount"),
        titled("cur", "currency"),
    )
    show_rows(
        rows,
        columns,
        as_json=False,
        empty="",
        noun="payment",
        detail=lambda row: row["why"],
        shrinks="account",
    )
