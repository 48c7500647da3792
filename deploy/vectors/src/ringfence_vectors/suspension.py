"""`ringfence vectors suspension FILE`: each case is one decision by the rules of two services.

balance-watch decides the funds hold by its last decision (`state`) and the pair of credit and
debts; the suspender decides by that hold and by the orders in the client's fields.
"""

from typing import NamedTuple, cast, get_args

from accounts.clients.account import account_changed
from balance_watch.funds import hold_after
from ringfence.vectors import vectors_command
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Profile, WrittenBy, YesNoNone
from ringfence_contracts.money import parse_micro
from ringfence_vectors.cells import one_of
from ringfence_vectors.client import PRODUCT, START, new_account
from suspender.rules.suspension import Decision, decide, orders_in_force

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
_OPTIONS: dict[str, YesNoNone] = {"": "None", "none": "None", "yes": "Yes", "no": "No"}


class SuspensionCase(NamedTuple):
    """One decision: the state of a client, and the expected desired state."""

    name: str
    profile: Profile
    prepaid: bool
    credit_micro: int
    outstanding_micro: int
    held: bool
    desired: str
    zero_mail: str

    @classmethod
    def read(cls, row: dict[str, str]) -> "SuspensionCase":
        """A case from a row of the file. Raises BadInput by the column's name."""
        outstanding_micro = parse_micro(row["outstanding"], "outstanding")
        if outstanding_micro < 0:
            raise BadInput("outstanding", row["outstanding"], "0 or more")
        return cls(
            name=row["name"],
            profile=read_profile(
                row["has_voip_service"],
                row["manual_voip_suspend"],
                row["voip_suspended"],
                row["suspended_written_by"],
            ),
            prepaid=one_of(row, "prepaid", "yes", "no") == "yes",
            credit_micro=parse_micro(row["credit"], "credit"),
            outstanding_micro=outstanding_micro,
            held=one_of(row, "state", "active", "suspended") == "suspended",
            desired=one_of(row, "expect_wanted", "suspended", "active", "leave"),
            zero_mail=one_of(row, "expect_zero_mail", "yes", "no"),
        )

    def decide(self) -> tuple[Decision, bool]:
        """The decision, and whether the zero-balance mail is due.

        It is due for a hold that begins now, if the funds hold is the only one.
        """
        held = hold_after(self.held, self.credit_micro, self.outstanding_micro)
        changed = account_changed(new_account(), (PRODUCT,), START)
        fields = changed.model_copy(update={"profile": self.profile, "orders": None})
        decision = decide(
            has_voip_service=self.profile.has_voip_service,
            orders=orders_in_force(fields, START),
            funds_held=held,
            service=PRODUCT.model_copy(update={"prepaid": self.prepaid}),
        )
        is_off_for_funds = decision.desired == "suspended" and decision.holds == ("funds",)
        return decision, is_off_for_funds and not self.held

    def mismatches(self) -> list[str]:
        """A line for every field that differs from what is expected."""
        decision, zero_mail = self.decide()
        fields = (
            ("expect_wanted", self.desired, decision.desired),
            ("expect_zero_mail", self.zero_mail, "yes" if zero_mail else "no"),
        )
        return [
            f"{self.name}: {column}: expected {expected}, got {got}"
            for column, expected, got in fields
            if expected != got
        ]


def read_profile(
    has_voip_service: str, manual_voip_suspend: str, voip_suspended: str, written_by: str
) -> Profile:
    """The profile fields from text: in any case, blank for None.

    Raises BadInput, with the field's name, for an unknown option.
    """
    return Profile(
        has_voip_service=_option("has_voip_service", has_voip_service) == "Yes",
        manual_voip_suspend=_option("manual_voip_suspend", manual_voip_suspend),
        voip_suspended=_option("voip_suspended", voip_suspended),
        voip_suspended_by=_writer(written_by),
    )


def _option(field: str, text: str) -> YesNoNone:
    option = _OPTIONS.get(text.strip().casefold())
    if option is None:
        raise BadInput(field, text, "Yes, No, None or blank")
    return option


def _writer(text: str) -> WrittenBy:
    written_by = text.strip().casefold()
    if written_by not in get_args(WrittenBy):
        raise BadInput("suspended_written_by", text, "us, person, import or blank")
    return cast(WrittenBy, written_by)


command = vectors_command(
    "suspension",
    "Decide the cases of a CSV file and compare with what it expects.",
    COLUMNS,
    SuspensionCase.read,
)
