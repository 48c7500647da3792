"""What is allowed in a rate deck but is probably a mistake, in words for the person who imports it.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HIGH_RATE = 20
"""A rate per minute above this is often one in cents, or for a thousand minutes."""

_SHAPED_SHARE = 0.5
_MANY_AREAS = 100

# ITU-T E.164, assigned country codes: one digit, two digits, and the groups of three digits.
_TWO_TEXT = """
    20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62
    63 64 65 66 81 82 84 86 90 91 92 93 94 95 98
"""
_TWO = frozenset(_TWO_TEXT.split())
_THREE_UNASSIGNED_TEXT = """
    210 214 215 217 219 259 280 281 282 283 284 285 286 287 288 289 292 293 294 295 296 384
    388 422 424 425 426 427 428 429 671 684 693 694 695 696 697 698 699 801 802 803 804 805
    806 807 809 830 831 832 833 834 835 836 837 838 839 851 854 857 858 859 871 872 873 874
    875 876 877 879 884 885 887 889 890 891 892 893 894 895 896 897 898 899 969 978 990 991
    997 999
"""
_THREE_UNASSIGNED = frozenset(_THREE_UNASSIGNED_TEXT.split())


class PrefixGroup(NamedTuple):
    """Rows of a deck whose prefixes have the same first three digits and the same length."""

    head: str
    length: int
    rows: int
    american: int
    """How many of them have a North American place in their description."""
    example: str


class Jump(NamedTuple):
    """A row whose rate changes by more than half."""

    prefix: str
    before: str
    after: str


def has_country_code(prefix: str) -> bool:
    """Whether a prefix begins with an assigned country code, or could still become one."""
    if prefix[0] in "17":
        return True
    if len(prefix) < 3:
        return True
    return prefix[:2] in _TWO or prefix[:3] not in _THREE_UNASSIGNED


def doubts_about_prefixes(groups: Iterable[PrefixGroup], *, in_front: bool) -> list[str]:
    """Warnings about codes without their country code. `in_front`: digits were put before them."""
    found = list(groups)
    total = sum(group.rows for group in found)
    areas = [g for g in found if g.length in (3, 6, 7, 10) and _is_area_code(g.head)]
    rows = sum(group.rows for group in areas)
    american = sum(group.american for group in areas)
    many = len({group.head for group in areas}) >= _MANY_AREAS
    if not in_front and rows >= total * _SHAPED_SHARE and (american or many):
        examples = ", ".join(group.example for group in areas[:3])
        return [
            f"{rows} of {total} prefixes look like area codes of North America without their 1"
            f" (such as {examples}), and would be read as codes of other countries: --put-in-front"
            " 1 puts it there"
        ]
    lacking = [g for g in found if g.length >= 4 and not has_country_code(g.example)]
    if not lacking:
        return []
    examples = ", ".join(group.example for group in lacking[:3])
    return [
        f"{sum(g.rows for g in lacking)} of {total} prefixes begin with no country code (such as"
        f" {examples}), and may never match: --put-in-front puts a country code there, --map"
        " CountryCode=COLUMN reads it from a column"
    ]


def _is_area_code(head: str) -> bool:
    return len(head) == 3 and head[0] in "23456789" and head[1] != "9"


def doubt_about_jumps(jumps: int, examples: Sequence[Jump]) -> str:
    """A warning about rates that change by more than half."""
    shown = ", ".join(f"{jump.prefix}: {jump.before} to {jump.after}" for jump in examples)
    what = "1 rate changes" if jumps == 1 else f"{jumps} rates change"
    return f"{what} by more than 50 %, such as {shown}"


def doubt_about_high_rates(rows: int, prefix: str, rate: str) -> str:
    """A warning about rates above HIGH_RATE, of which one is shown."""
    return (
        f"rates above {HIGH_RATE} a minute: {rows}, such as {prefix}: {rate}. Are they for more"
        " than a minute, or in cents (--price-unit hundredth) or thousandths (--price-unit"
        " thousandth)?"
    )


def notes_on_file(above: int, blocked: int, left_out: Mapping[str, int]) -> list[str]:
    """What an import did with parts of the file that are no rates."""
    notes = []
    if above:
        notes.append(f"lines above the table, not read: {above}")
    if blocked:
        notes.append(f"blocked rows: {blocked}. Calls to them wait in the unrated queue")
    if inbound := left_out.get("inbound"):
        notes.append(f"rows for inbound calls, left out: {inbound}. A package prices these")
    if origin := left_out.get("by origin"):
        notes.append(
            f"rows that hold for one origin of calls, left out: {origin}. The rows without an"
            " origin price these calls; a tariff does not know where a call comes from"
        )
    return notes
