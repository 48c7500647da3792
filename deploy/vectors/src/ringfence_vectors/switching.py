"""`ringfence vectors switching FILE`: the desired state of a client's service after each step.

The client is new. If the first step posts nothing, the opening balance is 0, as for a client that
is entered without one.
"""

from typing import NamedTuple

from rating.posting.settlement import MAX_BALANCE_MICRO
from ringfence.vectors import vectors_command
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import YesNoNone
from ringfence_contracts.money import format_micro, parse_micro
from ringfence_vectors.cells import parts, word
from ringfence_vectors.story import Act, Story

COLUMNS = ("name", "steps", "expect")
RESULTS = ("active", "suspended", "leave")

_FORM = (
    "topup A, adjust A, owe A, manual Yes|No|None, voip Yes|No|None, has yes|no, whmcs on|off, "
    "prepaid yes|no"
)
_OPTIONS: dict[str, YesNoNone] = {"yes": "Yes", "no": "No", "none": "None"}
_POSTINGS = ("topup", "adjust")


class Step(NamedTuple):
    """A step: `text` as in the file, `act` executes it, `moved_micro` is the change of balance."""

    text: str
    verb: str
    act: Act
    moved_micro: int = 0


class SwitchingCase(NamedTuple):
    """A series of steps, and the expected desired state after each."""

    name: str
    steps: tuple[Step, ...]
    expected: tuple[str, ...]

    @classmethod
    def read(cls, row: dict[str, str]) -> "SwitchingCase":
        """A case from a row of the file. Raises BadInput by the column's name."""
        steps = tuple(read_step(text) for text in parts(row, "steps"))
        expected = tuple(word("expect", text, *RESULTS) for text in parts(row, "expect"))
        if len(steps) != len(expected):
            needed = f"{len(steps)} results, one for each step"
            raise BadInput("expect", row["expect"], needed)
        if sum(step.moved_micro for step in steps) > MAX_BALANCE_MICRO:
            within = f"amounts that keep the balance within {format_micro(MAX_BALANCE_MICRO)}"
            raise BadInput("steps", row["steps"], within)
        return cls(row["name"], steps, expected)

    def results(self) -> tuple[str, ...]:
        """The desired state of the service after each step."""
        story = Story()
        if self.steps[0].verb not in _POSTINGS:
            story.open()
        results: list[str] = []
        for step in self.steps:
            step.act(story)
            results.append(story.desired)
            story.confirm()
        return tuple(results)

    def mismatches(self) -> list[str]:
        """A line for every step after which the desired state differs from the expected one."""
        compared = zip(self.steps, self.expected, self.results(), strict=True)
        return [
            f"{self.name}: expect: step {number} ({step.text}): expected {expected}, got {got}"
            for number, (step, expected, got) in enumerate(compared, 1)
            if expected != got
        ]


def read_step(text: str) -> Step:
    """Parse a step such as `topup 5`. Raises BadInput for the column `steps`."""
    verb, _, value = text.partition(" ")
    verb, value = verb.casefold(), value.strip()
    if verb in ("topup", "adjust", "owe"):
        return _amount_step(text, verb, value)
    if verb in ("manual", "voip"):
        option = _OPTIONS[_option(text, value, *_OPTIONS)]
        if verb == "manual":
            return Step(text, verb, lambda story: story.manual(option))
        return Step(text, verb, lambda story: story.voip(option))
    if verb == "whmcs":
        is_on = _option(text, value, "on", "off") == "on"
        return Step(text, verb, lambda story: story.whmcs(is_on))
    if verb in ("has", "prepaid"):
        yes = _option(text, value, "yes", "no") == "yes"
        if verb == "has":
            return Step(text, verb, lambda story: story.has(yes))
        return Step(text, verb, lambda story: story.prepaid(yes))
    raise BadInput("steps", text, _FORM)


def _amount_step(text: str, verb: str, value: str) -> Step:
    amount_micro = parse_micro(value, "steps")
    if verb == "adjust":
        return Step(text, verb, lambda story: story.adjust(amount_micro), abs(amount_micro))
    if amount_micro < 0:
        raise BadInput("steps", text, f"{verb} with an amount of 0 or more")
    if verb == "owe":
        return Step(text, verb, lambda story: story.owe(amount_micro))
    return Step(text, verb, lambda story: story.top_up(amount_micro), amount_micro)


def _option(text: str, value: str, *allowed: str) -> str:
    found = value.casefold()
    if found not in allowed:
        raise BadInput("steps", text, _FORM)
    return found


command = vectors_command(
    "switching",
    "Follow the steps of a CSV file and compare what is desired after each with its own.",
    COLUMNS,
    SwitchingCase.read,
)
