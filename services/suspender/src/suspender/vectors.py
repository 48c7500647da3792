"""`ringfence vectors suspension FILE`: decides the cases of a file by the suspender's own rules."""

from typing import NamedTuple

from ringfence.errors import BadInput
from ringfence.events.account import Profile
from ringfence.money import parse_micro
from ringfence.vectors import vectors_command
from suspender.suspension import Funds, State, decide_suspension, read_profile

COLUMNS = (
    "name",
    "has_voip_service",
    "manual_voip_suspend",
    "voip_suspended",
    "suspended_written_by",
    "prepaid",
    "credit",
    "outstanding",
    "state",
    "expect_wanted",
    "expect_zero_mail",
)


class Case(NamedTuple):
    """One decision: what is known of a service, and what is expected to be wanted."""

    name: str
    profile: Profile
    prepaid: bool
    funds: Funds
    state: State
    wanted: str
    zero_mail: str

    @classmethod
    def read(cls, row: dict[str, str]) -> "Case":
        """A case from a row of the file. Raises BadInput by the column's name."""
        credit_micro = parse_micro(row["credit"], "credit")
        outstanding_micro = parse_micro(row["outstanding"], "outstanding")
        is_suspended = _one_of(row, "state", "active", "suspended") == "suspended"
        return cls(
            name=row["name"],
            profile=read_profile(
                row["has_voip_service"],
                row["manual_voip_suspend"],
                row["voip_suspended"],
                row["suspended_written_by"],
            ),
            prepaid=_one_of(row, "prepaid", "yes", "no") == "yes",
            funds=Funds(credit_micro, outstanding_micro),
            state="suspended" if is_suspended else "active",
            wanted=_one_of(row, "expect_wanted", "suspended", "active", "leave"),
            zero_mail=_one_of(row, "expect_zero_mail", "yes", "no"),
        )

    def mismatches(self) -> list[str]:
        """A line for every field that comes out otherwise than expected."""
        got = decide_suspension(self.profile, self.funds, prepaid=self.prepaid, state=self.state)
        fields = (
            ("expect_wanted", self.wanted, got.wanted),
            ("expect_zero_mail", self.zero_mail, "yes" if got.zero_mail else "no"),
        )
        return [
            f"{self.name}: {column}: expected {wanted}, got {came}"
            for column, wanted, came in fields
            if wanted != came
        ]


def _one_of(row: dict[str, str], column: str, *allowed: str) -> str:
    text = row[column].strip().casefold()
    if text not in allowed:
        raise BadInput(column, row[column], " or ".join(allowed))
    return text


command = vectors_command(
    "suspension",
    "Decide the cases of a CSV file and compare with what it expects.",
    COLUMNS,
    Case.read,
)
