"""I11: the funds holds follow from credit and debts, and are the same in every service."""

from collections.abc import Callable, Hashable, Mapping

from rating.audit.finding import Check, ViewRow, lasting_rows
from rating.audit.store import AuditStore
from ringfence_contracts.money import format_micro


async def check_holds(store: AuditStore, wait_s: float) -> Check:
    """Compare the holds with the rule. Data in flight gets `wait_s` seconds to arrive."""
    check = Check("I11", "funds holds follow from credit and debts, and the suspender has the same")
    rows = await lasting_rows(lambda: store.drift("rating.drift_i11"), hold_key, wait_s)
    check.counted = f"{await store.count('report.level')} accounts"
    for row in rows:
        check.differs(hold_difference(row))
    if behind := await store.not_compared():
        check.remarks.append(
            f"balance-watch has not processed the latest balance or profile of {behind} accounts:"
            " their holds were not compared with rating and accounts"
        )
    return check


def hold_key(row: ViewRow) -> Hashable:
    """What identifies a difference of I11."""
    return row["account_id"], row["rule"], row["service_id"], row["number"]


def hold_difference(row: ViewRow) -> str:
    """A row of rating.drift_i11 in words: the account, the value found and the right one."""
    product = f", product {row['service_id']}" if row["service_id"] else ""
    return f"account {row['account_id']}{product}: {_WORDS[row['rule']](row)}"


def _of_class(row: ViewRow) -> str:
    return (
        f"pair {row['number']} ({_pair(row)}) is recorded as {row['found']};"
        f" right is {row['expected']}"
    )


def _of_pair(row: ViewRow) -> str:
    return (
        f"after pair {row['number']} ({_pair(row)}) it was {_held(row['found'])};"
        f" right is {_held(row['expected'])}"
    )


def _of_last_pair(row: ViewRow) -> str:
    return (
        f"balance-watch has it {_state(row['found'])}; right is {_state(row['expected'])}, as its"
        f" last recorded pair left it"
    )


def _of_account(row: ViewRow) -> str:
    return (
        f"balance-watch has it {_held(row['found'])} with {_pair(row)};"
        f" right is {_held(row['expected'])}"
    )


def _of_level(row: ViewRow) -> str:
    level = "exhausted" if row["found"] == "true" else "not exhausted"
    right = "exhausted" if row["expected"] == "true" else "not exhausted"
    return f"its level is {level}; right is {right}, as it is {_held(row['expected'])}"


def _of_owners(row: ViewRow) -> str:
    return (
        f"balance-watch has it {_held(row['found'])}; right is {_held(row['expected'])}, by the"
        f" ledger and accounts: {_pair(row)}"
    )


def _of_suspender(row: ViewRow) -> str:
    return (
        f"the suspender has it {_held(row['found'])}; right is {_held(row['expected'])}, as"
        f" balance-watch has it (hold {row['number']})"
    )


def _of_desired(row: ViewRow) -> str:
    holds = "holds are" if row["expected"] == "suspended" else "no hold is"
    return f"it is to be {row['found']}; right is {row['expected']}, as {holds} recorded for it"


def _of_funds(row: ViewRow) -> str:
    def applies(found: str) -> str:
        return "applies to it" if found == "true" else "does not apply to it"

    return f"the funds hold {applies(row['found'])}; right is that it {applies(row['expected'])}"


_WORDS: Mapping[str, Callable[[ViewRow], str]] = {
    "class": _of_class,
    "pair": _of_pair,
    "last-pair": _of_last_pair,
    "account": _of_account,
    "level": _of_level,
    "owners": _of_owners,
    "suspender": _of_suspender,
    "desired": _of_desired,
    "funds": _of_funds,
}


def _held(found: str) -> str:
    return "held" if found == "true" else "not held"


def _state(found: str) -> str:
    """`t spent` as words; without a class where no pair is recorded."""
    held, _, funds = found.partition(" ")
    words = "held" if held == "t" else "not held"
    return f"{words} and {funds}" if funds else words


def _pair(row: ViewRow) -> str:
    words = (
        f"credit {format_micro(row['balance_micro'])}, debts"
        f" {format_micro(row['outstanding_micro'])}"
    )
    limit_micro = row["credit_limit_micro"]
    return f"{words}, limit {format_micro(limit_micro)}" if limit_micro else words
