"""Parses Vodia's lists of tenants and accounts in all known shapes: pure.

The vendor's older catalogue shows `[{"name", "alias": [...], "displayname", "disabled", "usertype",
...}]`; clients of newer versions expect such rows under `accounts`, or under each account's number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}
_NUMBER_FIELDS = ("name", "account", "number")
_LABEL_FIELDS = ("displayname", "display_name", "display")
_EXTENSION_TYPES = ("", "extension", "extensions")


@dataclass(frozen=True)
class VodiaAccount:
    """An account of a tenant. `disabled` is None where the list does not show it.

    `aliases` are its other names: an inbound call to one of them, a DID, rings this account.
    """

    number: str
    label: str
    disabled: bool | None
    is_extension: bool
    aliases: tuple[str, ...] = ()


def accounts_of(listed: Any) -> list[VodiaAccount] | None:
    """The accounts of a list; None for an unknown shape."""
    if isinstance(listed, dict):
        listed = listed.get("accounts", listed)
    if isinstance(listed, dict):
        listed = [{"number": number, **_row(row)} for number, row in listed.items()]
    if not isinstance(listed, list):
        return None
    found = [_account(row) for row in listed]
    return None if None in found else [account for account in found if account]


def _row(row: Any) -> dict[str, Any]:
    """A row listed under its number: its `name` may be a person's name."""
    rest = row if isinstance(row, dict) else {}
    return {"displayname": rest.get("name", ""), **rest, "name": ""}


def _account(row: Any) -> VodiaAccount | None:
    if not isinstance(row, dict):
        return VodiaAccount(row, "", None, True) if isinstance(row, str) and row else None
    number = next(_texts(row, _NUMBER_FIELDS), None)
    if number is None:
        return None
    aliases = row.get("alias", [])
    named = [str(alias) for alias in aliases] if isinstance(aliases, list) else []
    return VodiaAccount(
        number=number,
        label=next(_texts(row, _LABEL_FIELDS), ""),
        disabled=flag(row["disabled"]) if "disabled" in row else None,
        is_extension=str(row.get("usertype", "")).lower() in _EXTENSION_TYPES,
        aliases=tuple(alias for alias in named if alias != number),
    )


def _texts(row: dict[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    for field in fields:
        value = row.get(field)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            yield str(value)


def tenants_of(listed: Any) -> list[str] | None:
    """The names of a list of tenants; None for an unknown shape."""
    if isinstance(listed, dict):
        listed = list(listed.values())
    if not isinstance(listed, list):
        return None
    found = [
        next(_texts(row, ("name", "domain")), "") if isinstance(row, dict) else row
        for row in listed
    ]
    return found if all(isinstance(name, str) and name for name in found) else None


def flag(value: Any) -> bool | None:
    """The value of a flag, which Vodia writes as "true", "false" or nothing; None for others."""
    if value is None:
        return False
    return _FLAGS.get(str(value).strip().lower())
