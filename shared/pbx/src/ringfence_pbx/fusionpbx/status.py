"""Parses FusionPBX's SIP status: the only page that shows the state of the switch itself.

Other pages show flags of the database. This page queries the switch over its event socket, and
shows the answers to the commands sent before. Without the event socket its status is 200, too: it
has a heading, no rows, and the message that the connection failed.
"""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import unquote_plus

from ringfence_pbx.fusionpbx.pages import readable_html

NOT_REACHED = "Connection to Event Socket failed"
_ROW = re.compile(
    r"<tr\b[^<>]*\blist-row\b[^<>]*>(.*?)(?=</tr|<tr\b|\Z)", re.DOTALL | re.IGNORECASE
)
_CELL = re.compile(r"<td\b[^<>]*>", re.IGNORECASE)
_STOP = re.compile(r"cmd\.php\?[^\s'\"<>]*")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN = re.compile(
    r"display_message\(\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")", re.DOTALL
)
_ANSWER = re.compile(r"\+OK|-ERR|-USAGE|Invalid Profile")
_TAG = re.compile(r"<[^<>]*>")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_PROFILE = re.compile(r"[?&]profile=([^&]+)")
_MAX_MESSAGE = 500
_MAX_MESSAGES = 1024 * 1024


@dataclass(frozen=True)
class SwitchStatus:
    """The status of the switch.

    `profiles` are its SIP profiles. `gateways` maps the uuids of the gateways that it runs now,
    independent of the stored flags, to the states of their registration (REGED, NOREG, TRYING;
    empty if not shown). `profile_of` and `names` map them to their SIP profiles and shown names.
    `answers` are the switch's answers to the commands sent since the last page, without duplicates.
    """

    profiles: tuple[str, ...]
    gateways: dict[str, str]
    answers: tuple[str, ...]
    refused: bool
    profile_of: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the switch was reached: its profiles are listed, and no failure is shown."""
        return bool(self.profiles) and not self.refused


def read_status(html: str) -> SwitchStatus:
    """The status in the page of SIP status. On any other page it has no profiles: not `reached`.

    It is parsed row by row, not as a whole document: with 2,000 gateways the page has 700 kB.
    """
    html = readable_html(html)
    profiles: list[str] = []
    gateways: dict[str, str] = {}
    profile_of: dict[str, str] = {}
    names: dict[str, str] = {}
    for row in _ROW.findall(html):
        cells = [_text(cell) for cell in _CELL.split(row)[1:]]
        state = cells[3] if len(cells) > 3 else ""
        stops = [link for link in _STOP.findall(row) if "action=killgw" in link]
        if stops and (uuid := _UUID.search(stops[0])):
            known = uuid.group().lower()
            gateways[known] = state
            names[known] = cells[0] if cells else ""
            if profile := _PROFILE.search(unescape(stops[0])):
                profile_of[known] = unquote_plus(profile[1])
        elif len(cells) > 3 and (cells[1].lower() == "profile" or state.startswith("RUNNING")):
            profiles.append(cells[0])
    shown = tuple(dict.fromkeys(messages(html)))
    return SwitchStatus(
        profiles=tuple(profiles),
        gateways=gateways,
        answers=tuple(text for text in shown if _ANSWER.search(text)),
        refused=any(NOT_REACHED in text for text in shown) or NOT_REACHED in html,
        profile_of=profile_of,
        names=names,
    )


def _text(cell: str) -> str:
    return " ".join(unescape(_TAG.sub("", cell)).split())


def count_answers(html: str) -> int:
    """The number of answers of the switch that a page shows, duplicates included."""
    return sum(1 for text in messages(html) if _ANSWER.search(text))


def messages(html: str) -> tuple[str, ...]:
    """The messages of a page as lines of plain text, duplicates included.

    FusionPBX writes them as calls in a script; messages of one kind are joined by line breaks. The
    answers to one command for many gateways may be equal.
    """
    found = []
    for single, double in _SHOWN.findall(readable_html(html)):
        text = unescape((single or double)[:_MAX_MESSAGES])
        text = _BREAK.sub("\n", text).replace("\\n", "\n")
        text = re.sub(r"\\(.)", r"\1", _TAG.sub("", text))
        found += [" ".join(line.split())[:_MAX_MESSAGE] for line in text.split("\n")]
    return tuple(line for line in found if line)
