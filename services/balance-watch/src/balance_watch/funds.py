"""The funds hold: when it begins, when it ends (domain/billing, section 7, b and b2).

Credit and debts reach this service by two topics. Only a pair that belongs together may end a hold
or begin one for debts: a credit that is older than the debts would cut or free a client for a
second. A credit that is used up needs no debts to be compared with.

Pure: without clock, socket, database or logger.
"""

from typing import Literal

FundsClass = Literal["spent", "free", "between"]
"""What a pair of credit and debts means for the hold.

`spent`: the hold begins. `free`: it ends. `between`: it stays as it is.
"""


def is_used_up(credit_micro: int, credit_limit_micro: int) -> bool:
    """Whether the credit is used up, to the limit that the operator grants."""
    return credit_micro <= -credit_limit_micro


def class_of(credit_micro: int, outstanding_micro: int, credit_limit_micro: int = 0) -> FundsClass:
    """The class of a pair. Without debts only the limit counts, also where the credit is negative.

    A negative `outstanding_micro` is no debt.
    """
    if is_used_up(credit_micro, credit_limit_micro):
        return "spent"
    if outstanding_micro <= 0:
        return "free"
    return "spent" if outstanding_micro > credit_micro else "between"


def belong_together(settled: int | None, accepted: int) -> bool:
    """Whether the credit holds all payments that were accepted when the debts were written.

    `settled` is None where it was not counted: then it has to be trusted.
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
    """Whether the account is held after this pair; `held` is the decision before it."""
    if is_used_up(credit_micro, credit_limit_micro):
        return True
    if not together:
        return held
    funds = class_of(credit_micro, outstanding_micro, credit_limit_micro)
    return held if funds == "between" else funds == "spent"
