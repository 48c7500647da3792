"""The funds hold: when it begins, when it ends (domain/billing, section 7, b and b2).

Credit and debts reach this service by two topics. A hold ends, or begins for debts, only by a pair
that belongs together: with a credit that is older than the debts, a client would be suspended or
restored for a second. A credit that is used up begins the hold whatever the debts are.

Pure: without clock, socket, database or logger.
"""

from typing import Literal

FundsClass = Literal["spent", "free", "between"]
"""What a pair of credit and debts means for the hold.

`spent`: the hold begins. `free`: it ends. `between`: it stays as it is.
"""


def is_used_up(credit_micro: int, credit_limit_micro: int) -> bool:
    """Whether the credit is used up, the credit limit that the operator grants included."""
    return credit_micro <= -credit_limit_micro


def class_of(credit_micro: int, outstanding_micro: int, credit_limit_micro: int = 0) -> FundsClass:
    """The class of a pair, in micro-units.

    Without debts, a negative credit within the limit is `free`. A negative `outstanding_micro` is
    no debt.
    """
    if is_used_up(credit_micro, credit_limit_micro):
        return "spent"
    if outstanding_micro <= 0:
        return "free"
    return "spent" if outstanding_micro > credit_micro else "between"


def belong_together(settled: int | None, accepted: int) -> bool:
    """Whether the credit contains all payments that were accepted when the debts were written.

    `settled` is None where nobody counted: then the pair counts as belonging together.
    """
    return settled is None or settled >= accepted


def hold_after(
    held: bool,
    credit_micro: int,
    outstanding_micro: int,
    credit_limit_micro: int = 0,
    *,
    together: bool = True,
) -> bool:
    """Whether a funds hold applies after this pair; `held`: whether one applied before it.

    `together`: the pair belongs together (`belong_together`).
    """
    if is_used_up(credit_micro, credit_limit_micro):
        return True
    if not together:
        return held
    funds = class_of(credit_micro, outstanding_micro, credit_limit_micro)
    return held if funds == "between" else funds == "spent"
