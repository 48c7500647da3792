"""The events that are written by hand say, to whoever reads them by their contract, what was so."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rating.ledger import AccountBalance, Entry, EntryRun, Posting, post
from rating.posting import events
from rating.posting.batch import call_record
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
    verdict = rate_call(found, match, TariffVersions([version]))
    assert isinstance(verdict, (Rated, NotBilled)), verdict
    return match, verdict


def charged(found: CallCompleted, match: Match, verdict: Rated) -> Entry:
    taken = call_record(found, b"")
    told = events.details(found, match.service_id, verdict)
    posting = Posting(
        taken.entry_id, match.account_id, "charge", -verdict.cost_micro, taken.call_id,
        found.ended_at, taken.input_hash, told,
    )  # fmt: skip
    return post(AccountBalance("CAD", 5_000_000, 8), posting)


@given(TEXT, INSTANTS, st.none() | INSTANTS, st.integers(1, 10_000))
def test_a_charge(
    description: str, started: datetime, answered: datetime | None, billsec: int
) -> None:
    found = call(billsec=billsec, started_at=started, answered_at=answered)
    match, verdict = priced(found, description)
    assert isinstance(verdict, Rated)
    entry = charged(found, match, verdict)
    told: Any = read(events.rated(entry, str(found.call_id), "CAD", "thread"))
    assert isinstance(told, CallRated)
    assert told.call_id == found.call_id
    assert told.entry_id == entry.entry_id == call_record(found, b"").entry_id
    assert (told.account_id, told.service_id) == ("1001", "svc-1001")
    assert (told.outcome, told.cost_micro, told.currency) == ("rated", verdict.cost_micro, "CAD")
    assert (told.account_version, told.billsec, told.billed_s) == (9, billsec, verdict.billed_s)
    assert (told.started_at, told.answered_at) == (started, answered)
    assert told.number == "14165550100"
    assert told.explanation == verdict.explanation
    assert told.explanation["description"] == description


@given(TEXT.filter(lambda text: bool(text.strip())))
def test_an_inbound_charge_whatever_was_dialled(dialled: str) -> None:
    found = call(direction="inbound", caller_destination=dialled)
    match, verdict = priced(found)
    if isinstance(verdict, Rated):
        entry = charged(found, match, verdict)
        told: Any = read(events.rated(entry, str(found.call_id), "CAD", "thread"))
    else:
        detail = events.details(found, match.service_id, verdict)
        taken = call_record(found, b"")
        told = read(events.not_billed(taken, "1001", verdict.reason, True, "CAD", detail))
        assert told.hidden
        assert told.reason == verdict.reason
    assert told.number == verdict.number
    assert told.explanation == verdict.explanation


@given(st.integers(-(10**15), 10**15), INSTANTS)
def test_a_balance(amount_micro: int, at: datetime) -> None:
    posting = Posting(UUID(int=1), "1001", "top-up", amount_micro, UUID(int=2), at, b"", "{}")
    standing = AccountBalance("CAD", 7, 3, settled=2)
    first = post(standing, posting)
    told: Any = read(events.balance_changed(EntryRun(first, first), standing, "thread"))
    assert isinstance(told, BalanceChanged)
    assert (told.version, told.from_version) == (4, 3)
    assert (told.balance_micro, told.from_balance_micro) == (7 + amount_micro, 7)
    assert (told.cause, told.cause_id, told.occurred_at) == ("top-up", UUID(int=2), at)
    assert (told.currency, told.settled) == ("CAD", 3)
