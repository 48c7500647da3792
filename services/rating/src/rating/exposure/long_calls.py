"""Which calls of a batch are longer than a person is likely to talk, and the alarm's text. Pure.

A PBX that misses the end of a call ends it by a timer, hours later. Such a call is charged, because
the provider charges it too, and an operator is informed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rating.posting.records import SettlementResult
from rating.posting.settlement import MatchedCall
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.money import format_micro

ALARM = "long-call"
"""The key of the alarm; its subject is `<server>/<tenant>/<the PBX's own id of the call>`."""

LONG_CALL_S = 4 * 3600


class LongCall(NamedTuple):
    """A call that was charged now, or waits unrated. `outcome` says which, in words.

    `account_id` is None where no product has the call.
    """

    call: CallCompleted
    account_id: str | None
    outcome: str

    @property
    def subject(self) -> str:
        """The subject of its alarm."""
        return f"{self.call.server_id}/{self.call.tenant}/{self.call.source_call_id}"


def long_calls(
    matched: Sequence[MatchedCall], result: SettlementResult, longest_s: int
) -> list[LongCall]:
    """The calls of a batch with more than `longest_s` of talk; none if that is 0.

    Calls that were processed before, and calls that are not billed, are left out.
    """
    candidates = [one.call.call for one in matched if one.call.call.billsec > longest_s > 0]
    if not candidates:
        return []
    charged = {entry.cause_id: entry for entry in result.entries}
    waiting = {row.event.call_id: row.event for row in result.unrated}
    found = []
    for call in candidates:
        entry, event = charged.get(call.call_id), waiting.get(call.call_id)
        if entry is not None:
            currency = result.balances[entry.account_id].currency
            cost = f"It is charged {format_micro(-entry.amount_micro)} {currency}"
            found.append(LongCall(call, entry.account_id, cost))
        elif event is not None:
            why = f"It waits unrated ({event.reason})"
            found.append(LongCall(call, event.account_id, why))
    return found


def text_of(long: LongCall, client: str) -> AlarmText:
    """The alarm about a call; `client` is its client's name, empty if not known."""
    call = long.call
    whose = f" of client {client or long.account_id} ({long.account_id})" if long.account_id else ""
    caller = call.extension or call.caller_number or "an unknown caller"
    number = call.destination_number or call.caller_destination
    if call.direction == "inbound":
        number = call.caller_destination or call.destination_number
    hours, rest_s = divmod(call.billsec, 3600)
    ended_at = f"{call.ended_at:%Y-%m-%d %H:%M} UTC"
    return AlarmText(
        message=(
            f"{call.server_id} reports a call of {hours} h {rest_s // 60} min ({call.billsec} s)"
            f"{whose} in tenant {call.tenant}, from {caller} to {number}, ended {ended_at}."
            f" {long.outcome}"
        ),
        what_to_do=(
            f"Ask whether anybody talked that long: ringfence explain {call.call_id} shows the"
            " call. If the PBX missed its end, let it end such calls sooner (session timers, a"
            " time-out for media), and give back what was not talked:"
            " ringfence topup ACCOUNT AMOUNT --adjustment. See the runbook long-calls."
        ),
        severity="warning",
        account_id=long.account_id,
    )
