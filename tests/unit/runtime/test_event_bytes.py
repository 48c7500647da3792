"""The exact bytes of published events: key, headers and payload, against tests/golden/events.

Readers outside of this repository compare and store them, and a replay publishes the same ones.
The payload of every topic is written from its published examples; what services write without a
model, and the ids that they derive, from fixed facts.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from balance_watch.watch import Crossing
from cdr_ingest import events as source_events
from cdr_ingest.ingest import call_completed
from rating.ledger import AccountBalance, Entry, EntryRun, Posting, post
from rating.posting.batch import call_record
from rating.posting.events import event_of
from rating.posting.explanation import call_details
from rating.posting.records import BalanceMove, ChargedCall, NotBilledCall, UnratedCall
from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import NotBilled, Rated, rate_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from rating.rerating import events as rerate_events
from rating.rerating.plan import LiveCharge, RerateChange
from rating.rerating.store import ChangeRow
from ringfence_contracts.events.call import CallCompleted, CallUnrated
from ringfence_contracts.events.source import SourceFailed, SourceGapFound, SourceRecovered
from ringfence_contracts.examples import Example, examples_of, key_of
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import (
    ALL_TOPICS,
    BALANCE_ZERO,
    CALL_COMPLETED,
    CALL_UNRATED,
    SOURCE_FAILED,
    SOURCE_GAP_FOUND,
    SOURCE_RECOVERED,
    Topic,
)
from ringfence_testing.records import NOON, account, call
from suspender import events as suspender_events
from suspender.rules.account import AccountState
from suspender.rules.service_state import ServiceState
from tests.support.golden_files import compare, no_others

GOLDEN = Path(__file__).parents[2] / "golden" / "events"
INBOUND = {"inbound_enabled": True, "custom_inbound_rate": "0.01", "not_billed": ["[local]"]}
CORRELATION_ID = "0c0ffee0-0000-4000-8000-000000000001"


def shown(title: str, event: Outgoing) -> str:
    """An event as it goes to the broker, one part a line."""
    headers = "".join(f"{name}: {value.decode()}\n" for name, value in event.headers())
    return f"# {title}\nkey: {event.key}\n{headers}{event.value.decode()}\n"


def compare_events(name: str, events: Iterable[tuple[str, Outgoing]]) -> None:
    compare(GOLDEN / f"{name}.txt", "\n".join(shown(title, event) for title, event in events))


def from_model(example: Example) -> Outgoing:
    """The example as its topic's model writes it."""
    event = example.record()
    event.value = example.event().to_json()
    event.key = key_of(example.topic, example.event())
    return event


@pytest.mark.parametrize("topic", ALL_TOPICS, ids=lambda topic: topic.name)
def test_a_model_writes_its_payload_as_reviewed(topic: Topic) -> None:
    compare_events(topic.name, [(each.name, from_model(each)) for each in examples_of(topic)])


def test_cdr_ingest_publishes_as_reviewed() -> None:
    events: list[tuple[str, Outgoing]] = []
    for topic in (CALL_COMPLETED, SOURCE_FAILED, SOURCE_RECOVERED, SOURCE_GAP_FOUND):
        for example in examples_of(topic):
            event = example.event()
            if isinstance(event, CallCompleted):
                events.append((f"{topic.name} {example.name}", call_completed(event)))
            elif isinstance(event, SourceFailed):
                events.append((f"{topic.name} {example.name}", source_events.source_failed(event)))
            elif isinstance(event, SourceRecovered):
                events.append(
                    (f"{topic.name} {example.name}", source_events.source_recovered(event))
                )
            elif isinstance(event, SourceGapFound):
                events.append((f"{topic.name} {example.name}", source_events.gap_found(event)))
    assert len({event.topic.name for _, event in events}) == 4
    compare_events("cdr-ingest", events)


def priced(found: CallCompleted) -> tuple[Match, Rated | NotBilled]:
    """What a call costs the client 1001 by a small tariff."""
    match = ProductIndex([account(package=INBOUND)]).match(found)
    assert isinstance(match, Match)
    deck = Deck([("1", 'North "America", é', "0.01", 30, 6, 1)])
    version = TariffVersion(7, "north", "CAD", NOON - timedelta(days=9), deck)
    outcome = rate_call(found, match, TariffVersions([version]))
    assert isinstance(outcome, Rated | NotBilled), outcome
    return match, outcome


def charge(found: CallCompleted, match: Match, rated: Rated) -> Entry:
    """The ledger entry of a call."""
    taken = call_record(found, b"")
    details = call_details(found, match.service_id, rated)
    posting = Posting(
        taken.entry_id, match.account_id, "charge", -rated.cost_micro, taken.call_id,
        found.ended_at, taken.input_hash, details,
    )  # fmt: skip
    return post(AccountBalance("CAD", 5_000_000, 8), posting)


def rated_event(found: CallCompleted) -> Outgoing:
    match, outcome = priced(found)
    assert isinstance(outcome, Rated)
    entry = charge(found, match, outcome)
    return event_of(ChargedCall(entry, str(found.call_id), "CAD", CORRELATION_ID))


def not_billed_event(found: CallCompleted, *, hidden: bool) -> Outgoing:
    match, outcome = priced(found)
    assert isinstance(outcome, NotBilled)
    details = call_details(found, match.service_id, outcome)
    return event_of(
        NotBilledCall(
            str(found.call_id), "1001", outcome.reason, hidden, "CAD", details, found.ended_at,
            str(found.call_id),
        )
    )  # fmt: skip


def unrated_event(event: CallUnrated) -> Outgoing:
    return event_of(UnratedCall(event, call().ended_at, str(call().call_id)))


def balance_event(kind: Literal["charge", "top-up"], amount_micro: int) -> Outgoing:
    posting = Posting(
        UUID(int=1), "1001", kind, amount_micro, UUID(int=2), NOON + timedelta(microseconds=5),
        b"", "{}",
    )  # fmt: skip
    balance = AccountBalance("CAD", 7, 3, settled=2)
    entry = post(balance, posting)
    return event_of(BalanceMove(EntryRun(entry, entry), balance, CORRELATION_ID))


def rerated_events() -> list[tuple[str, Outgoing]]:
    """A charge of 0.011 is replaced by one of 0.02, by a re-rating."""
    found = call(billsec=61)
    match, outcome = priced(found)
    assert isinstance(outcome, Rated)
    details = json.loads(call_details(found, match.service_id, outcome))
    charged = LiveCharge(UUID(int=3), found.call_id, -11_000, NOON, b"", details)
    change = RerateChange(charged, -20_000, details, ("1001", "svc-1001", NOON.date(), ""), 0)
    row, run_id = ChangeRow(change, UUID(int=4), UUID(int=5)), UUID(int=6)
    balance = AccountBalance("CAD", 5_000_000, 8, settled=2)
    reversal = post(
        balance, Posting(UUID(int=4), "1001", "reversal", 11_000, run_id, NOON, b"", "{}")
    )
    entry = post(balance, Posting(UUID(int=5), "1001", "charge", -20_000, run_id, NOON, b"", "{}"))
    return [
        ("rated again", rerate_events.call_rated(row, entry, "CAD", run_id, NOON)),
        (
            "balance after rating again",
            rerate_events.balance_changed([reversal, entry], balance, run_id, NOON),
        ),
    ]


def test_rating_publishes_as_reviewed() -> None:
    """The events of volume are written without a model: each shape of them."""
    answered = call(answered_at=NOON + timedelta(seconds=3, milliseconds=250))
    unrated = [
        (
            f"unrated {example.name}",
            event_of(UnratedCall(event, call().ended_at, str(call().call_id))),
        )
        for example in examples_of(CALL_UNRATED)
        if isinstance(event := example.event(), CallUnrated)
    ]
    assert unrated
    compare_events(
        "rating",
        [
            ("rated outbound", rated_event(call(billsec=61))),
            ("rated outbound, answered after 3.25 s", rated_event(answered)),
            ("rated inbound", rated_event(call(direction="inbound"))),
            ("not billed, unanswered", not_billed_event(call(billsec=0), hidden=False)),
            ("not billed, hidden", not_billed_event(call(billsec=0), hidden=True)),
            ("balance after a top-up", balance_event("top-up", 25_000_000)),
            ("balance after a charge", balance_event("charge", -1)),
            *rerated_events(),
            *unrated,
        ],
    )


def test_balance_watch_publishes_as_reviewed() -> None:
    example = next(iter(examples_of(BALANCE_ZERO)))
    crossing = Crossing(
        UUID(int=7), "acme-1003", BALANCE_ZERO.name, example.event().to_json(), NOON, CORRELATION_ID
    )
    compare_events("balance-watch", [("crossing", crossing.outgoing())])


def test_the_suspender_publishes_as_reviewed() -> None:
    client = AccountState(
        "1001", profile=account(outstanding_micro=7_500_000), balance_micro=-1_600_000, hold=2
    )
    off = ServiceState(
        "1001", "svc-1001", "pbx1", "fusionpbx", "suspended", wanted_seq=3, mode="auto",
        cause_id=UUID(int=8), correlation_id=CORRELATION_ID, holds=("funds",),
        ended_calls=("call-1",),
    )  # fmt: skip
    on = replace(off, wanted="active", wanted_seq=4, holds=())
    changed = replace(off, reason_seq=1)
    evidence = "gateway: enabled false, not running"
    compare_events(
        "suspender",
        [
            ("suspended", suspender_events.confirmed(client, off, evidence, NOON, mail=True)),
            ("restored", suspender_events.confirmed(client, on, "running", NOON, mail=False)),
            (
                "suspended for another reason",
                suspender_events.confirmed(client, changed, evidence, NOON, mail=False),
            ),
            ("not suspended", suspender_events.failed(off, "no answer", 5, NOON)),
        ],
    )


def test_each_golden_file_is_compared() -> None:
    names = {
        *(topic.name for topic in ALL_TOPICS),
        "balance-watch",
        "cdr-ingest",
        "rating",
        "suspender",
    }
    no_others(GOLDEN, {f"{name}.txt" for name in names})
