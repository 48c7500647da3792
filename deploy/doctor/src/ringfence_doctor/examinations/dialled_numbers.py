"""Checks whether a PBX's records lose the `+` of dialled numbers: pure.

Without it, +36 1 234 5678 (Hungary) is ten digits like those of an area in Texas, and is priced as
that. FusionPBX decodes the `+` away before it writes its row; a post still shows it (`lost_prefix`
of `call.completed.v1`). A row alone does not show it, but the numbers of other countries that it
has without `+` and exit code do.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple

from ringfence.numbers.facts import facts_of
from ringfence_doctor.check_result import CheckResult

_CHECK = "dialled numbers"
_SHORTEST = 8
"""Digits of the shortest number that can be a complete one of another country."""

_TEN = 10
_SHOWN = 3

Loss = Literal["", "posted", "abroad", "ambiguous"]


class Dialled(NamedTuple):
    """A number that was dialled; `lost_prefix` is the `+` that it lacks, as its post showed."""

    number: str
    lost_prefix: str


class HomePlan(NamedTuple):
    """The country codes of a server's products, and what their PBX puts before a number."""

    country_codes: Collection[str] = ("1",)
    strip_prefixes: Collection[str] = ()


def examine_dialled(
    server_id: str, dialled: Sequence[Dialled], home: HomePlan
) -> Iterator[CheckResult]:
    """Whether the newest dialled numbers of a server lost their `+`; nothing without any."""
    if not dialled:
        return
    losses = [(loss_of(one, home), one.number) for one in dialled]
    counts = Counter(loss for loss, _ in losses)
    total = f"{len(dialled)} numbers dialled within two days"
    if not counts["abroad"]:
        kept = "; posts show the + that FusionPBX's own rows lack" if counts["posted"] else ""
        message = f"of {total}, {counts['posted']} were written without their + and are known{kept}"
        if not counts["posted"]:
            message = f"none of {total} seems to have lost its +"
        yield CheckResult(server_id, _CHECK, "ok", message)
        return
    examples = dict.fromkeys(number for loss, number in losses if loss == "abroad")
    message = (
        f"of {total}, {counts['abroad']} are of another country and lack + and exit code, such as"
        f" {', '.join(list(examples)[:_SHOWN])}: their + was lost. {counts['ambiguous']} more of"
        " ten digits are valid at home and abroad, and are priced as at home"
    )
    action = (
        "have FreeSWITCH post its records to cdr-ingest, which shows the + (docs/push.md); or have"
        " the dialplan turn + into the exit code"
    )
    yield CheckResult(server_id, _CHECK, "warn", message, action)


def loss_of(dialled: Dialled, home: HomePlan) -> Loss:
    """Whether a number lost its `+`: as its post showed, or by what it can be.

    `ambiguous`: ten digits that are valid in a country of the products and as a complete number.
    """
    number = dialled.number
    if dialled.lost_prefix:
        return "posted"
    if not (number.isascii() and number.isdigit()) or number[0] == "0" or len(number) < _SHORTEST:
        return ""
    if any(prefix and number.startswith(prefix) for prefix in home.strip_prefixes):
        return ""
    complete = facts_of(number)
    if not complete.valid or complete.country_code in home.country_codes:
        return ""
    at_home = any(facts_of(code + number).valid for code in home.country_codes)
    if not at_home:
        return "abroad"
    return "ambiguous" if len(number) == _TEN else ""
