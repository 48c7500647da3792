"""Whether a service is to be on or off, and by which rule (domain/billing, section 7, a and b).

Two of the profile's fields are both setting and override, so who wrote `VoIP Suspended` counts:
a Yes of ours, or one found at import, only records a suspension; a person's Yes is an order.
We never write No, so any No is a person's.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from ringfence.errors import BadInput
from ringfence.events.account import Profile, WrittenBy, YesNoNone
from ringfence.events.service import Mode

State = Literal["active", "suspended"]
Wish = Literal["active", "suspended", "leave"]

_OPTIONS: dict[str, YesNoNone] = {"": "None", "none": "None", "yes": "Yes", "no": "No"}


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account has and what it owes on unpaid invoices."""

    credit_micro: int
    outstanding_micro: int = 0


class Decision(NamedTuple):
    """What is wanted of one service.

    `leave`: the service is not to be touched. `mode` is the rule that governs, `off` for clients
    without VoIP service. `zero_mail`: the client is owed the mail "VoIP Zero Balance" once the
    service is off.
    """

    wanted: Wish
    mode: Mode | Literal["off"]
    zero_mail: bool = False


def decide_suspension(
    profile: Profile, funds: Funds | None, *, prepaid: bool, state: State
) -> Decision:
    """What is wanted of a service whose state is `state`; the first rule that fits governs.

    `funds` is None while no posting of the account is known: rules that a person set do without,
    the automatic one leaves the service alone.
    """
    manual, suspended = profile.manual_voip_suspend, profile.voip_suspended
    if not profile.has_voip_service:
        return Decision("leave", "off")
    if manual == "Yes":
        return Decision("suspended", "manual")
    if manual == "No" and suspended == "No":
        return Decision("active", "exempt")
    if suspended == "Yes" and profile.voip_suspended_by == "person":
        return Decision("suspended", "forced")
    return _by_funds(funds, prepaid=prepaid, state=state)


def _by_funds(funds: Funds | None, *, prepaid: bool, state: State) -> Decision:
    """Suspend without funds; restore only with funds and no debts; in between, as it is."""
    if not prepaid:
        return Decision("active", "auto")
    if funds is None:
        return Decision("leave", "auto")
    credit_micro, outstanding_micro = funds.credit_micro, funds.outstanding_micro
    if credit_micro <= 0 or outstanding_micro > credit_micro:
        return Decision("suspended", "auto", zero_mail=state == "active")
    if outstanding_micro > 0:
        return Decision(state, "auto")
    return Decision("active", "auto")


def read_profile(
    has_voip_service: str, manual_voip_suspend: str, voip_suspended: str, written_by: str
) -> Profile:
    """The profile fields as people write them: in any case, and blank for None.

    Raises BadInput, by the field's name, for an option that does not exist.
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
    for writer in get_args(WrittenBy):
        if text.strip().casefold() == writer:
            return cast(WrittenBy, writer)
    raise BadInput("suspended_written_by", text, "us, person, import or blank")
