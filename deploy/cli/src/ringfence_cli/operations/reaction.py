"""`ringfence reaction`: how soon services are switched after the call that used up the credit."""

from typing import Any

import click

from ringfence_cli.connection import api_client, path_of
from ringfence_cli.tables import output_options, plural, print_json, print_sentence, show_facts
from ringfence_cli.times import sentence


@click.command()
@click.argument("account", required=False)
@output_options
def reaction(account: str | None, as_json: bool) -> None:
    """Show how soon services are switched off after a call.

    It is the time from the end of the call that used up the credit to the PBX's confirmation, in
    the last hour. With ACCOUNT: the last time that a call or a payment switched this client.

    Example: ringfence reaction acme-1001
    """
    if account:
        _of_client(account, as_json=as_json)
        return
    found = api_client().get("/reaction")
    if as_json:
        print_json(found)
        return
    if not found["count"]:
        click.echo("No service was switched off for a call in the last hour.")
        return
    facts = {
        "switched off": plural(found["count"], "service"),
        "half of them within": _seconds(found["p50_s"]),
        "99 of 100 within": _seconds(found["p99_s"]),
        "the slowest": _seconds(found["longest_s"]),
        "to the charge, median": _seconds(found["charged_p50_s"]),
        "to the PBX, median": _seconds(found["switched_p50_s"]),
    }
    show_facts(facts, as_json=False)
    for bucket in found["buckets"]:
        if bucket["count"]:
            click.echo(f"{_bounds(bucket):>15}  {bucket['count']}")


def _of_client(account: str, *, as_json: bool) -> None:
    found = api_client().get(path_of("clients", account, "reaction"))
    if as_json:
        print_json(found)
    elif found["words"]:
        at = sentence(found["confirmed_at"])
        print_sentence(f"{found['service_id']}: {found['words']}, {at}.")
    else:
        click.echo("No call and no payment has switched a service of this client yet.")


def _bounds(bucket: dict[str, Any]) -> str:
    if bucket["upto_s"] is None:
        return f"over {bucket['from_s']:g} s"
    return f"{bucket['from_s']:g} to {bucket['upto_s']:g} s"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"
