"""The events of a re-rating: one for each re-rated call, one for each account's balance."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson

from rating.ledger import AccountBalance, Entry
from rating.posting.events import SOURCE
from rating.rerating.store import ChangeRow
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import BALANCE_CHANGED, CALL_RATED


def call_rated(
    row: ChangeRow, entry: Entry, currency: str, run_id: UUID, occurred_at: datetime
) -> Outgoing:
    """`call.rated.v1` for the charge `entry`, which replaces another one."""
    charged = row.change.charged
    payload = {
        "call_id": charged.call_id,
        "account_id": entry.account_id,
        "outcome": "rated",
        "entry_id": row.charge_id,
        "account_version": entry.version,
        "cost_micro": -entry.amount_micro,
        "currency": currency,
        **row.change.details,
        "replaces": {
            "entry_id": charged.entry_id,
            "reversal_id": row.reversal_id,
            "cost_micro": -charged.amount_micro,
            "run_id": run_id,
        },
    }
    return Outgoing(
        topic=CALL_RATED,
        key=entry.account_id,
        value=orjson.dumps(payload, default=str),
        event_id=derive("call.rated", row.charge_id),
        time=occurred_at,
        source=SOURCE,
        correlation_id=str(run_id),
    )


def balance_changed(
    entries: Sequence[Entry], balance: AccountBalance, run_id: UUID, occurred_at: datetime
) -> Outgoing:
    """`balance.changed.v1` from before the first entry to after the last, which made `balance`.

    One event for all entries: a balance that a reversal raises and a charge lowers again in the
    same transaction crosses no threshold, and no client may get mail about it.
    """
    first, last = entries[0], entries[-1]
    account_id = last.account_id
    return Outgoing(
        topic=BALANCE_CHANGED,
        key=account_id,
        value=BalanceChanged(
            account_id=account_id,
            version=last.version,
            balance_micro=last.balance_after_micro,
            from_version=first.version - 1,
            from_balance_micro=first.balance_after_micro - first.amount_micro,
            currency=balance.currency,
            cause="reversal",
            cause_id=run_id,
            occurred_at=occurred_at,
            settled=balance.settled_at(last.version),
        ).to_json(),
        event_id=derive("balance.changed", account_id, last.version),
        time=occurred_at,
        source=SOURCE,
        correlation_id=str(run_id),
    )
