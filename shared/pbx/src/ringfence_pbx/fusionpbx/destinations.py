"""Parses FusionPBX's destinations: the DIDs, and the extensions that they ring, if shown."""

import json
import re
from dataclasses import dataclass

from ringfence_pbx.fusionpbx.pages import ListedRow

_TRANSFER = re.compile(r"\btransfer:(\S+)\s+XML\b|\b(?:extension|ext)\.?:?\s+(\S+)", re.IGNORECASE)
_NOT_DIGITS = re.compile(r"\D")
_NUMBERS = ("destination", "destination number", "number")
_ACTIONS = ("actions", "action", "detail action")


@dataclass(frozen=True)
class Did:
    """A number that leads into a domain. `enabled` is None where the page does not say."""

    uuid: str
    domain: str
    number: str
    description: str
    enabled: bool | None
    leads_to: str


def did_of(row: ListedRow) -> Did | None:
    """The DID in a row of the destinations; None for an outbound row or one without a number."""
    cells = {heading: text.strip() for heading, text in row.cells.items()}
    if cells.get("type", "inbound").lower() not in ("inbound", ""):
        return None
    shown = row.name or next((cells[h] for h in _NUMBERS if cells.get(h)), "")
    number = _NOT_DIGITS.sub("", shown)
    prefix = _NOT_DIGITS.sub("", cells.get("prefix", ""))
    if not number:
        return None
    enabled = {"true": True, "false": False}.get(cells.get("enabled", "").lower())
    action = next((cells[h] for h in _ACTIONS if cells.get(h)), "")
    return Did(
        uuid=row.uuid,
        domain=row.domain,
        number=prefix + number,
        description=cells.get("description", ""),
        enabled=enabled if row.enabled is None else row.enabled,
        leads_to=leads_to(action),
    )


def leads_to(action: str) -> str:
    """The extension that an action of the page rings; empty if none is recognised."""
    if re.fullmatch(r"\d{1,15}", action):
        return action
    found = _TRANSFER.search(action)
    return (found[1] or found[2]) if found else ""


def first_extension(actions: str) -> str:
    """The extension that stored actions ring first; empty if none is recognised.

    They are JSON: `[{"destination_app": "transfer", "destination_data": "2112 XML a.example"}]`.
    """
    try:
        stored = json.loads(actions or "[]")
    except (ValueError, RecursionError):
        return ""
    for one in stored if isinstance(stored, list) else ():
        if isinstance(one, dict) and one.get("destination_app") == "transfer":
            number = str(one.get("destination_data", "")).split(" ")[0]
            if re.fullmatch(r"\d{1,15}", number):
                return number
    return ""
