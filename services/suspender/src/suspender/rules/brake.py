"""The brake: pauses suspensions when too many clients lose their funds at once (pure).

Then the cause is probably ours: a wrong tariff version, or a bridge that reports wrong debts, would
suspend all clients within minutes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

BRAKE_ALARM = "brake"
WHAT_TO_DO = (
    "Look at the cause. If the clients are rightly without funds: ringfence brake release, and the"
    " cuts that wait go on. If not: ringfence brake undo switches on who was cut and holds nobody"
    " of them for funds until a later hold; then correct the cause. See docs/runbooks/brake.md."
)


class BrakeLimits(NamedTuple):
    """More than `clients` and more than `percent` of the live prepaid clients, within `window`."""

    clients: int
    percent: int
    window: timedelta

    @property
    def is_set(self) -> bool:
        """Whether the brake is enabled."""
        return self.clients > 0

    def exceeded(self, begun: int, of: int) -> bool:
        """Whether `begun` funds holds are too many for `of` live prepaid clients."""
        return self.is_set and begun > self.clients and begun * 100 > self.percent * of


class CommonTariff(NamedTuple):
    """The tariff version by which most of the clients were charged lately; `clients`: how many."""

    tariff_id: str
    version: str
    clients: int


class BegunHold(NamedTuple):
    """A client whose funds hold began within the window, and by what (`credit`, `outstanding`)."""

    account_id: str
    reason: str


def by_credit(begun: Sequence[BegunHold]) -> list[str]:
    """The clients whose credit was used up."""
    return [one.account_id for one in begun if one.reason != "outstanding"]


def cause_in_words(begun: Sequence[BegunHold], charged: CommonTariff | None) -> str:
    """What most of these holds have in common."""
    credit = len(by_credit(begun))
    debts = len(begun) - credit
    if debts > credit:
        return f"debts: {debts} of {len(begun)} owe more than their credit"
    found = f"credit: {credit} of {len(begun)} have used it up"
    if charged is None:
        return f"{found}, without a charge lately"
    return (
        f"{found}, {charged.clients} of them with charges by tariff {charged.tariff_id},"
        f" version {charged.version}"
    )


def message(begun: int, of: int, window: timedelta, cause: str) -> str:
    """The message of the alarm."""
    minutes = window.total_seconds() / 60
    return (
        f"{begun} of {of} live prepaid clients began a funds hold within {minutes:g} minutes."
        f" Most common cause: {cause}. Cutting for funds is paused; restoring and orders go on."
    )
