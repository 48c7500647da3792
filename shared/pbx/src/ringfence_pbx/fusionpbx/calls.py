"""Parses FusionPBX's page of active calls.

Its rows are the switch's channels. The columns depend on rights and version, so they are found by
their English headings.
"""

import re
from dataclasses import dataclass

from ringfence_pbx.emergency import is_emergency, names_emergency
from ringfence_pbx.fusionpbx.pages import PageRow, headings_of, rows_of

CALLS = "/app/calls_active/calls_active_inc.php"
FRAME = "/app/calls_active/calls_active.php"
HANG_UP = "/app/basic_operator_panel/exec.php"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEADINGS = {
    "domain": ("domain",),
    "number": ("number",),
    "cid_name": ("cid name", "caller id name"),
    "cid_number": ("cid number", "caller id number"),
    "destination": ("destination",),
}


@dataclass(frozen=True)
class LiveChannel:
    """One leg of a live call.

    `number` is the user part of the leg's own address: on the leg to a telephone, the extension's
    number. `texts` are all cells. `uuid` is empty where the page does not show it.
    """

    uuid: str
    domain: str
    number: str
    cid_number: str
    destination: str
    texts: tuple[str, ...]

    @property
    def is_emergency(self) -> bool:
        """Whether a side, or any other cell (a bridge to 911), has an emergency number."""
        sides = (self.number, self.cid_number, self.destination)
        return any(is_emergency(side) for side in sides) or any(map(names_emergency, self.texts))


@dataclass(frozen=True)
class CallsPage:
    """The page: all live legs."""

    channels: tuple[LiveChannel, ...]


def read_calls(html: str) -> CallsPage | None:
    """The page of active calls; None for another page."""
    headings = headings_of(html)
    if not {"number", "destination"} <= set(headings):
        return None
    rows = rows_of(html, "calls")
    return CallsPage(tuple(_channel(row) for row in rows))


def offers_all_tenants(html: str) -> bool:
    """Whether the user may see the calls of all tenants: the page around the list offers them.

    The list itself looks the same with and without that right. [inferred]
    """
    return "calls_active.php?show=all" in html


def _channel(row: PageRow) -> LiveChannel:
    def cell(what: str) -> str:
        known = (row.named.get(heading) for heading in _HEADINGS[what])
        return next((text.strip() for text in known if text is not None), "")

    shown = [link for link in row.links if _UUID.search(link)]
    uuid = row.uuid
    if not uuid and shown and (found := _UUID.search(shown[0])):
        uuid = found.group().lower()
    return LiveChannel(
        uuid=uuid,
        domain=cell("domain").lower(),
        number=cell("number"),
        cid_number=cell("cid_number"),
        destination=cell("destination"),
        texts=row.cells,
    )
