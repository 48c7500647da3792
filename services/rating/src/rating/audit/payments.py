"""I10: the ledger's payments are those of accounts, and each account's count of them is correct."""

from collections.abc import Hashable
from uuid import UUID

from rating.audit.finding import Check, ViewRow, lasting_rows
from rating.audit.store import AuditStore
from ringfence_contracts.money import format_micro


async def check_payments(store: AuditStore, wait_s: float) -> Check:
    """Compare the ledger with accounts. Payments in flight get `wait_s` seconds to arrive."""
    says = "every top-up and adjustment in the ledger is a payment in accounts, and the reverse"
    check = Check("I10", says)
    rows = await lasting_rows(lambda: store.drift("rating.drift_i10"), payment_key, wait_s)
    check.counted = f"{await store.count('report.payment')} payments"
    for row in rows:
        check.differs(payment_difference(row))
    for row in await store.unclaimed():
        check.remarks.append(
            f"payment {row['payment_id']} of account {row['account_id']} is unclaimed since"
            f" {row['since'].isoformat(timespec='seconds')}:"
            f" {_amount(row['kind'], row['amount_micro'], row['currency'])}: {row['reason']}"
        )
    return check


def payment_key(row: ViewRow) -> Hashable:
    """What identifies a difference of I10."""
    key: tuple[str, UUID | None, str] = (row["problem"], row["payment_id"], row["account_id"])
    return key


def payment_difference(row: ViewRow) -> str:
    """A row of rating.drift_i10 in words: the account, the value found and the right one."""
    if row["problem"] == "settled":
        return (
            f"account {row['account_id']}: {row['settled']} payments are counted as settled; right"
            f" is {row['payments']}, the number of its top-ups and adjustments in the ledger"
        )
    where = f"account {row['account_id']}, payment {row['payment_id']}"
    ours = _amount(row["posted_kind"], row["posted_micro"], row["posted_currency"])
    theirs = _amount(row["kind"], row["amount_micro"], row["currency"])
    if row["problem"] == "not-in-accounts":
        return f"{where}: the ledger has it as {ours}; right is none, as accounts has none"
    if row["problem"] == "not-posted":
        why = ", it waits unclaimed" if row["unclaimed"] else ""
        return f"{where}: the ledger does not have it{why}; right is {theirs}"
    to = row["posted_account_id"]
    posted_to = "" if to == row["account_id"] else f" to account {to}"
    return f"{where}: the ledger has it as {ours}{posted_to}; right is {theirs}"


def _amount(kind: str | None, amount_micro: int | None, currency: str | None) -> str:
    money = f"{format_micro(amount_micro or 0)} {currency}"
    return f"{'an' if kind == 'adjustment' else 'a'} {kind} of {money}"
