"""The events that are formatted by hand are valid by their models and carry the right values."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rating.ledger import AccountBalance, Entry, EntryRun, Posting, post
from rating.posting.batch import call_record
from rating.posting.events import event_of
from rating.posting.explanation import call_details
from rating.posting.records import BalanceMove, ChargedCall, NotBilledCall
from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import NotBilled, Rated, rate_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.events.call import CallCompleted, CallRated
from ringfence_testing.records import NOON, account, call, read

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=70)
HALIFAX = timezone(timedelta(hours=-3))
INSTANTS = st.datetimes(
    datetime(2026, 11, 21), datetime(2026, 11, 22), timezones=st.sampled_from([UTC, HALIFAX])
)
PACKAGE = {"inbound_enabled": True, "custom_inbound_rate": "0.01", "not_billed": ["[local]"]}


def priced(found: CallCompleted, description: str = "x") -> tuple[Match, Rated | NotBilled]:
    match = ProductIndex([account(package=PACKAGE)]).match(found)
    assert isinstance(match, Match)
    deck = Deck([("1", description, "0.01", 30, 6, 1)])
    version = TariffVersion(7, "north", "CAD", NOON - timedelta(days=9), deck)
    outcome = rate_call(found, match, TariffVersions([version]))
    assert isinstance(outcome, (Rated, NotBilled)), outcome
    return match, outcome


def charged(found: CallCompleted, match: Match, outcome: Rated) -> Entry:
    taken = call_record(found, b"")
    explanation = call_details(found, match.service_id, outcome)
    posting = Posting(
        taken.entry_id, match.account_id, "charge", -outcome.cost_micro, taken.call_id,
        found.ended_at, taken.input_hash, explanation,
    )  # fmt: skip
    return post(AccountBalance("CAD", 5_000_000, 8), posting)


@given(TEXT, INSTANTS, st.none() | INSTANTS, st.integers(1, 10_000))
def test_the_event_of_a_charge_carries_its_call_entry_and_price(
    description: str, started: datetime, answered: datetime | None, billsec: int
) -> None:
    found = call(billsec=billsec, started_at=started, answered_at=answered)
    match, outcome = priced(found, description)
    assert isinstance(outcome, Rated)
    entry = charged(found, match, outcome)
    event: Any = read(event_of(ChargedCall(entry, str(found.call_id), "CAD", "correlation")))
    assert isinstance(event, CallRated)
    assert event.call_id == found.call_id
    assert event.entry_id == entry.entry_id == call_record(found, b"").entry_id
    assert (event.account_id, event.service_id) == ("1001", "svc-1001")
    assert (event.outcome, event.cost_micro, event.currency) == ("rated", outcome.cost_micro, "CAD")
    assert (event.account_version, event.billsec, event.billed_s) == (9, billsec, outcome.billed_s)
    assert (event.started_at, event.answered_at) == (started, answered)
    assert event.number == "14165550100"
    assert event.explanation == outcome.explanation
    assert event.explanation["description"] == description


@given(TEXT.filter(lambda text: bool(text.strip())))
def test_an_inbound_event_is_valid_with_any_dialled_text(dialled: str) -> None:
    found = call(direction="inbound", caller_destination=dialled)
    match, outcome = priced(found)
    if isinstance(outcome, Rated):
        entry = charged(found, match, outcome)
        event: Any = read(event_of(ChargedCall(entry, str(found.call_id), "CAD", "correlation")))
    else:
        detail = call_details(found, match.service_id, outcome)
        record = NotBilledCall(
            str(found.call_id), "1001", outcome.reason, True, "CAD", detail, found.ended_at, "x"
        )
        event = read(event_of(record))
        assert event.hidden
        assert event.reason == outcome.reason
    assert event.number == outcome.number
    assert event.explanation == outcome.explanation


@given(st.integers(-(10**15), 10**15), INSTANTS)
def test_a_balance_event_carries_the_balance_before_and_after(
    amount_micro: int, at: datetime
) -> None:
    posting = Posting(UUID(int=1), "1001", "top-up", amount_micro, UUID(int=2), at, b"", "{}")
    balance = AccountBalance("CAD", 7, 3, settled=2)
    first = post(balance, posting)
    event: Any = read(event_of(BalanceMove(EntryRun(first, first), balance, "correlation")))
    assert isinstance(event, BalanceChanged)
    assert (event.version, event.from_version) == (4, 3)
    assert (event.balance_micro, event.from_balance_micro) == (7 + amount_micro, 7)
    assert (event.cause, event.cause_id, event.occurred_at) == ("top-up", UUID(int=2), at)
    assert (event.currency, event.settled) == ("CAD", 3)
