"""What a batch becomes, decided in memory: charges, duplicates, rejections, the unrated queue."""

from datetime import timedelta
from typing import Any

from rating.claims.claim_check import claim_of
from rating.ledger import AccountBalance
from rating.posting.batch import CallRecord, call_record, payment_record
from rating.posting.events import events_of
from rating.posting.records import ExistingRecords, SettlementResult
from rating.posting.reference_data import ReferenceData
from rating.posting.settlement import MAX_BALANCE_MICRO, MatchedCall, Settlement, match_calls
from rating.pricing.tariff import Deck, TariffVersion
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.topics import CALL_COMPLETED, PAYMENT_RECEIVED
from ringfence_testing.records import NOON, account, call, received
from tests.support.rating import NORTH, payment


def reference(**package: object) -> ReferenceData:
    data = ReferenceData()
    data.put_account(account(package=package))
    data.put_tariff(TariffVersion(1, "north", "CAD", NOON - timedelta(days=1), Deck([NORTH])))
    return data


def record(of: CallCompleted) -> CallRecord:
    return call_record(of, of.to_json(), received(CALL_COMPLETED, of, of.call_id))


def matched(data: ReferenceData, *calls: CallCompleted) -> list[MatchedCall]:
    return match_calls(data, [record(each) for each in calls], NOON)


def settle(
    data: ReferenceData, *calls: CallCompleted, existing: ExistingRecords | None = None
) -> SettlementResult:
    items = matched(data, *calls)
    balances = {"1001": AccountBalance("CAD", 0, 0)}
    free_used = {key: 0 for item in items for key in item.free_keys()}
    return Settlement(data, existing or ExistingRecords(), balances, free_used).apply([], items)


def published(result: SettlementResult) -> list[tuple[Any, bytes]]:
    return [(event.event_id, event.value) for event in events_of(result.published)]


def test_a_call_is_charged_once_in_a_batch_that_holds_it_twice() -> None:
    result = settle(reference(), call(1), call(1))
    assert [entry.amount_micro for entry in result.entries] == [-10_000]
    assert result.moved_balances() == {"1001": AccountBalance("CAD", -10_000, 1)}


def test_a_call_that_is_in_the_ledger_yields_the_same_events_and_no_entry() -> None:
    first = settle(reference(), call(1))
    entry = first.entries[0]
    again = settle(reference(), call(1), existing=ExistingRecords(entries={entry.entry_id: entry}))
    assert again.entries == []
    assert {event_id for event_id, _ in published(again)} == {
        event_id for event_id, _ in published(first)
    }


def test_the_same_id_with_other_content_is_rejected_and_publishes_nothing() -> None:
    entry = settle(reference(), call(1)).entries[0]
    again = settle(
        reference(), call(1, billsec=61), existing=ExistingRecords(entries={entry.entry_id: entry})
    )
    assert [each.reason for each in again.rejected] == [
        "call: came again with other content; the first one is kept"
    ]
    assert (again.entries, again.published) == ([], [])


def test_the_calls_of_a_batch_share_the_free_seconds_of_their_account() -> None:
    result = settle(reference(free_minutes=3), *(call(n, billsec=60) for n in range(5)))
    assert [entry.amount_micro for entry in result.entries] == [0, 0, 0, -10_000, -10_000]
    assert list(result.free_used.values()) == [180]


def test_a_call_without_a_product_is_queued_and_has_no_entry() -> None:
    result = settle(reference(), call(1, tenant="nobody.example"))
    assert [row.event.reason for row in result.unrated] == ["unknown-product"]
    assert result.unposted == [record(call(1)).entry_id]


def test_a_payment_beyond_the_limit_of_a_balance_is_rejected() -> None:
    paid = payment("k1", 1)
    item = payment_record(paid, "x", received(PAYMENT_RECEIVED, paid))
    claimed = ExistingRecords(claims={paid.payment_id: claim_of(paid)})
    balances = {"1001": AccountBalance("CAD", MAX_BALANCE_MICRO, 1)}
    result = Settlement(reference(), claimed, balances, {}).apply([item], [])
    assert [each.reason for each in result.rejected] == [
        "amount_micro: got 1, expected an amount that keeps the balance within ±10000000000.00"
    ]
    assert result.entries == []
