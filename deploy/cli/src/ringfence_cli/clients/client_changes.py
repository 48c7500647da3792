"""`ringfence client set` and `client history`: change a client; show who changed it."""

from collections.abc import Mapping
from typing import Any

import click

from ringfence_cli.clients.client_facts import show_client_facts
from ringfence_cli.connection import api_client, fail, path_of
from ringfence_cli.tables import (
    INSTANTS,
    limit_option,
    moment,
    output_options,
    print_json,
    print_sentence,
    show_rows,
    show_warnings,
    titled,
)
from ringfence_cli.times import sentence

_SUSPENSION = ("manual_voip_suspend", "voip_suspended")
_UNSAID = frozenset(("nothing", "no", "None", "0.00"))
"""Values that are not shown for a new client or product."""

_NEEDED = (("first_name", "--first-name"), ("currency", "--currency"))


@click.command("set")
@click.argument("account")
@click.option("--first-name")
@click.option("--last-name")
@click.option("--company-name")
@click.option("--email")
@click.option("--wants-mail", help="yes or no")
@click.option("--language", help="of the client's mails, such as fr; '' for the default")
@click.option("--cc", help="addresses that get each mail too, with commas between; '' for none")
@click.option("--currency", help="ISO 4217, such as CAD; cannot change afterwards")
@click.option("--time-zone", help="IANA, such as America/Toronto")
@click.option("--has-voip-service", help="yes or no")
@click.option("--low-balance-threshold", help="15, $15 or 1,500; '' turns alerts off")
@click.option("--credit-limit", help="how far below 0 the balance may fall, such as 25.00")
@click.option("--opening-balance", help="posted once, as the first entry of the ledger; 0 too")
@click.option("--manual-voip-suspend", help="None, Yes or No")
@click.option("--voip-suspended", help="None, Yes or No: overrides the automatic state")
@output_options
def set_client(account: str, as_json: bool, **given: str | None) -> None:
    """Create a client, or change what is given of one.

    Example: ringfence client set acme-1001 --first-name Ann --email ann@acme.example
    --currency CAD --has-voip-service yes --opening-balance 20.00
    """
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "cc" in changes:
        changes["cc"] = [part.strip() for part in changes["cc"].split(",") if part.strip()]
    if any(name in changes for name in _SUSPENSION):
        changes["written_by"] = "person"
    api = api_client()
    path = path_of("clients", account)
    known = api.find(path) is not None
    if not known:
        missing = [option for name, option in _NEEDED if name not in changes]
        if missing:
            fail(f"{account} is a new client: give {' and '.join(missing)} too")
    elif not changes:
        fail("nothing to change is given: `ringfence client set --help` lists the options")
    answer = api.send("PATCH" if known else "PUT", path, json=changes)
    if as_json:
        show_warnings(answer)
        print_json(answer)
    else:
        show_client_facts(answer)
        print_sentence(f"{account}: {answer['what_happens']}")


@click.command("history")
@click.argument("account")
@limit_option(50)
@output_options
def client_history(account: str, limit: int, as_json: bool) -> None:
    """Show who changed what of ACCOUNT, the newest change first, with the values before and after.

    Example: ringfence client history acme-1001 --limit 10
    """
    columns = (
        moment("when", "at"),
        titled("who", "who"),
        titled("what", "what"),
        titled("version", "version"),
    )
    show_rows(
        api_client().listing(path_of("clients", account, "audit"), limit),
        columns,
        as_json=as_json,
        empty=f"Nothing was changed of {account} yet.",
        noun="change",
        detail=_change,
        shrinks="what",
    )


def _change(row: Any) -> str:
    """The reason, and each field that changed: `mode shadow → live`."""
    before, after = _flat(row["before"] or {}), _flat(row["after"] or {})
    parts = [f"reason: {row['reason']}"] if row["reason"] else []
    if row["version"] is None:
        return parts[0] if parts else ""  # A payment: the column `what` has everything.
    for name in dict.fromkeys((*before, *after)):
        old, new = _value(before.get(name)), _value(after.get(name))
        if old == new:
            continue
        if row["before"]:
            parts.append(f"{name} {old} → {new}")
        elif new not in _UNSAID:
            parts.append(f"{name} {new}")
    return "; ".join(parts)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name, with those of a product: the column `what` names the product."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name.endswith("_micro"):
            continue  # The decimal text is another field.
        if isinstance(value, Mapping):
            found.update(_flat(value))
        else:
            known = isinstance(value, str) and name in INSTANTS
            found[name.replace("_", " ")] = sentence(value) if known else value
    return found


def _value(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        product = f" for {value['product']}" if value.get("product") else ""
        calls = ", calls ended" if value.get("hang_up") else ""
        return f"{value.get('kind')} order by {value.get('given_by')}{product}{calls}"
    return str(value)
