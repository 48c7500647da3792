"""Reading FusionPBX's SIP status: the one page that speaks for the switch itself.

The stored flags are the database's. This page asks the switch over its event socket, and shows the
answers to the commands that were sent before. Without the event socket it comes with status 200
all the same: a heading, no row, and the message that the connection failed.
"""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import unquote_plus

from ringfence_pbx.fusionpbx.pages import without_endless_numbers

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
    """What the switch says of itself.

    `profiles` are its SIP profiles, `gateways` those that it runs now, whatever is stored: by uuid,
    with the state of the registration (REGED, NOREG, TRYING; empty if it is not shown). Of each,
    `profile_of` is the SIP profile that runs it, `names` what the page calls it. `answers` are what
    the switch answered to the commands sent since the last page, each once.
    """

    profiles: tuple[str, ...]
    gateways: dict[str, str]
    answers: tuple[str, ...]
    refused: bool
    profile_of: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the switch was asked: its profiles are listed, and no failure is shown."""
        return bool(self.profiles) and not self.refused


def read_status(html: str) -> SwitchStatus:
    """SIP status, or any page that shows messages: then without profiles, hence not `reached`.

    It is read row by row, not as a whole document: of 2,000 gateways the page has 700 kB.
    """
    html = without_endless_numbers(html)
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
    said = tuple(dict.fromkeys(messages(html)))
    return SwitchStatus(
        profiles=tuple(profiles),
        gateways=gateways,
        answers=tuple(text for text in said if _ANSWER.search(text)),
        refused=any(NOT_REACHED in text for text in said) or NOT_REACHED in html,
        profile_of=profile_of,
        names=names,
    )


def _text(cell: str) -> str:
    return " ".join(unescape(_TAG.sub("", cell)).split())


def count_answers(html: str) -> int:
    """How many answers of the switch a page shows, equal ones counted each."""
    return sum(1 for text in messages(html) if _ANSWER.search(text))


def messages(html: str) -> tuple[str, ...]:
    """What a page tells its reader on top: plain text, one line each.

    FusionPBX writes them as calls in a script, several of one mood joined by line breaks. Lines
    that are equal are all given: the answers to one order for many gateways may be.
    """
    found = []
    for single, double in _SHOWN.findall(without_endless_numbers(html)):
        text = unescape((single or double)[:_MAX_MESSAGES])
        text = _BREAK.sub("\n", text).replace("\\n", "\n")
        text = re.sub(r"\\(.)", r"\1", _TAG.sub("", text))
        found += [" ".join(line.split())[:_MAX_MESSAGE] for line in text.split("\n")]
    return tuple(line for line in found if line)
