"""`ringfence vectors thresholds FILE`: applies balances by the decisions of balance-watch.

Each series is a client's postings from the first one, without an opening balance.
"""

from typing import NamedTuple

from accounts.clients.account import account_changed
from accounts.clients.checks import imported_threshold
from balance_watch.watch import EventEffect, WatchedAccount, apply_balance, apply_profile
from ringfence.vectors import vectors_command
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.ids import derive
from ringfence_contracts.money import parse_micro
from ringfence_vectors.cells import parts
from ringfence_vectors.client import ACCOUNT_ID, CURRENCY, PRODUCT, START, new_account

COLUMNS = ("name", "threshold", "balances", "expect_events")
KINDS = ("low", "zero", "restored")


class ThresholdCase(NamedTuple):
    """One series of balances, and the crossings that are expected."""

    name: str
    threshold_micro: int | None
    balances_micro: tuple[int, ...]
    expected: tuple[str, ...]

    @classmethod
    def read(cls, row: dict[str, str]) -> "ThresholdCase":
        """A case from a row of the file. Raises BadInput by the column's name."""
        return cls(
            name=row["name"],
            threshold_micro=imported_threshold(row["threshold"]),
            balances_micro=tuple(parse_micro(one, "balances") for one in parts(row, "balances")),
            expected=_events(row["expect_events"]),
        )

    def events(self) -> tuple[str, ...]:
        """The crossings that the series causes, in order."""
        watched = WatchedAccount(ACCOUNT_ID, CURRENCY)
        effects = [_with_threshold(watched, self.threshold_micro)]
        before_micro = 0
        for version, balance_micro in enumerate(self.balances_micro, 1):
            effects.append(_post(watched, version, before_micro, balance_micro))
            before_micro = balance_micro
        return tuple(e.crossing.topic.split(".")[1] for e in effects if e.crossing)

    def mismatches(self) -> list[str]:
        """A line if the events differ from the expected ones."""
        expected, got = ";".join(self.expected), ";".join(self.events())
        if expected == got:
            return []
        return [f"{self.name}: expect_events: expected {expected or 'none'}, got {got or 'none'}"]


def _events(text: str) -> tuple[str, ...]:
    events = tuple(event.strip().casefold() for event in text.split(";")) if text.strip() else ()
    if not set(events) <= set(KINDS):
        raise BadInput("expect_events", text, f"{', '.join(KINDS)}, separated by ;, or blank")
    return events


def _with_threshold(watched: WatchedAccount, threshold_micro: int | None) -> EventEffect:
    account = new_account()
    profile = account.profile.model_copy(update={"threshold_micro": threshold_micro})
    changed = account_changed(account.model_copy(update={"profile": profile}), (PRODUCT,), START)
    return apply_profile(watched, changed, derive("vectors", "profile"), "")


def _post(
    watched: WatchedAccount, version: int, before_micro: int, balance_micro: int
) -> EventEffect:
    change = BalanceChanged(
        account_id=ACCOUNT_ID,
        version=version,
        balance_micro=balance_micro,
        from_version=version - 1,
        from_balance_micro=before_micro,
        currency=CURRENCY,
        cause="charge" if balance_micro < before_micro else "top-up",
        cause_id=derive("vectors", "posting", version),
        occurred_at=START,
    )
    return apply_balance(watched, change, derive("vectors", "balance", version), "")


command = vectors_command(
    "thresholds",
    "Follow the balances of a CSV file and compare the events with its own.",
    COLUMNS,
    ThresholdCase.read,
)
