"""`ringfence client set` and `client history`: a client is changed, and who changed it."""

from typing import Any

import click

from accounts.commands.connection import fail, front_door, path_of
from accounts.commands.tables import (
    limit_option,
    moment,
    output_options,
    show_facts,
    show_rows,
    titled,
)

_SUSPENSION = ("manual_voip_suspend", "voip_suspended")
_NEEDED = (("first_name", "--first-name"), ("currency", "--currency"))
_UNSEEN = frozenset(("version", "changed_at"))


@click.command("set")
@click.argument("account")
@click.option("--first-name")
@click.option("--last-name")
@click.option("--company-name")
@click.option("--email")
@click.option("--wants-mail", help="yes or no")
@click.option("--currency", help="ISO 4217, such as CAD; cannot change afterwards")
@click.option("--time-zone", help="IANA, such as America/Toronto")
@click.option("--has-voip-service", help="yes or no")
@click.option("--low-balance-threshold", help="15, $15 or 1,500; '' turns alerts off")
@click.option("--credit-limit", help="how far below 0 the balance may fall, such as 25.00")
@click.option("--opening-balance", help="posted once, as the first entry of the ledger; 0 too")
@click.option("--manual-voip-suspend", help="None, Yes or No")
@click.option("--voip-suspended", help="None, Yes or No: overrides the automatic state")
@output_options
def set_client(account: str, json_wanted: bool, **given: str | None) -> None:
    """Create a client, or change what is given of one.

    Example: ringfence client set acme-1001 --first-name Ann --email ann@acme.example
    --currency CAD --has-voip-service yes --opening-balance 20.00
    """
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if any(name in changes for name in _SUSPENSION):
        changes["written_by"] = "person"
    door = front_door()
    place = path_of("clients", account)
    known = door.find(place) is not None
    if not known:
        missing = [option for name, option in _NEEDED if name not in changes]
        if missing:
            fail(f"{account} is a new client: give {' and '.join(missing)} too")
    elif not changes:
        fail("nothing to change is given: `ringfence client set --help` lists the options")
    answer = door.ask("PATCH" if known else "PUT", place, json=changes)
    show_facts(answer, json_wanted=json_wanted, skip=("orders",))


@click.command("history")
@click.argument("account")
@limit_option(50)
@output_options
def client_history(account: str, limit: int, json_wanted: bool) -> None:
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
        front_door().listing(path_of("clients", account, "audit"), limit),
        columns,
        json_wanted=json_wanted,
        empty=f"Nothing was changed of {account} yet.",
        noun="change",
        detail=_change,
        shrinks="what",
    )


def _change(row: Any) -> str:
    """The reason, and each field that changed: `mode shadow → live`."""
    before, after = row["before"] or {}, row["after"] or {}
    parts = [f"reason: {row['reason']}"] if row["reason"] else []
    for name in dict.fromkeys((*before, *after)):
        if name in _UNSEEN or (name.endswith("_micro") and name[: -len("_micro")] in after):
            continue
        parts.append(f"{name.replace('_', ' ')} {_value(before, name)} → {_value(after, name)}")
    return "; ".join(parts)


def _value(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, list):
        return ", ".join(_one(each) for each in value)
    return _one(value)


def _one(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values() if part not in (None, "", False))
    return str(value)
