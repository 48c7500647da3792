"""The words of explanations: every reason has its words, and every number its calculation."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.explanations.call_name import read_call_name
from accounts.explanations.history import CallHistory
from accounts.explanations.statement import Balance, LedgerRange, Position, what_of
from accounts.explanations.wording import REMEDIES, LabelledText, of_call, of_payment
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallUnrated
from ringfence_contracts.ids import call_id

AT = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
CALL = UUID(int=1)
PRICED = {
    "rate_from": "tariff",
    "tariff_id": "north",
    "tariff_version": 1,
    "prefix": "1",
    "description": "Canada",
    "rate_per_min": "0.01",
    "markup_percent": "100",
    "connection_fee": "0",
    "increment": "60/6",
    "rounding": "once per call, half up, to 0.000001",
}
DETAILS: dict[str, Any] = {
    "service_id": "pbx-1",
    "direction": "outbound",
    "number": "14165550100",
    "billsec": 61,
    "billed_s": 66,
    "free_s": 0,
    "started_at": "2026-11-21T12:00:00Z",
    "answered_at": "2026-11-21T12:00:05Z",
    "explanation": PRICED,
}


def charge(amount_micro: int = -11_000, **priced: object) -> dict[str, Any]:
    return {
        "entry_id": UUID(int=2),
        "account_id": "1001",
        "version": 1,
        "kind": "charge",
        "amount_micro": amount_micro,
        "balance_after_micro": amount_micro,
        "currency": "CAD",
        "reverses": None,
        "occurred_at": AT,
        "posted_at": AT,
        "explanation": {**DETAILS, "explanation": {**PRICED, **priced}},
    }


def history(*entries: dict[str, Any], **parts: Any) -> CallHistory:
    nothing = dict.fromkeys(("not_billed", "unrated", "dead", "accepted"))
    return CallHistory(CALL, entries, **{**nothing, **parts})


def by_label(lines: Iterable[LabelledText]) -> dict[str, str]:
    return {line.label: line.text for line in lines}


def test_a_price_is_calculated_in_words() -> None:
    found = by_label(of_call(history(charge())))
    assert found["billed"] == "61 s of talk: the first 60 s, then every 6 s = 66 s"
    assert found["rate"] == "0.01 per minute"
    assert found["cost"] == "66 s × 0.01 / 60 = 0.011, so 0.011 CAD"
    assert found["priced by"] == "prefix 1 (Canada) of tariff north, version 1"


def test_the_time_band_is_named() -> None:
    found = by_label(of_call(history(charge(time_band="evening"))))
    assert found["priced by"] == (
        "prefix 1 (Canada) of tariff north, version 1, in the time band evening"
    )


def test_the_bundle_of_free_minutes_is_named() -> None:
    entry = charge(bundle="europe")
    entry["explanation"]["free_s"] = 60
    found = by_label(of_call(history(entry)))
    assert found["free"] == (
        "60 s by the month's free minutes of the bundle europe; 6 s are paid for"
    )
    del entry["explanation"]["explanation"]["bundle"]
    found = by_label(of_call(history(entry)))
    assert found["free"] == "60 s by the month's free minutes; 6 s are paid for"


def test_a_number_without_end_is_shown_with_a_mark() -> None:
    found = by_label(of_call(history(charge(rate_per_min="0.01", markup_percent="33.3333333333"))))
    assert "= 0.0033333333…" in found["rate"]


@pytest.mark.parametrize(
    ("priced", "each_call", "ending"),
    [
        (
            {"minimum_cost": "0.05"},
            "at least 0.05 (by the package)",
            "= 0.011, raised to the minimum cost of a call, 0.05, so 0.05 CAD",
        ),
        (
            {"maximum_cost": "0.01", "of_row": ["maximum_cost"]},
            "at most 0.01 (by the tariff's row, with the markup)",
            "= 0.011, lowered to the maximum cost of a call, 0.01, so 0.05 CAD",
        ),
        (
            {"minimum_cost": "0.05", "maximum_cost": "0.02"},
            "at least 0.05 (by the package), at most 0.02 (by the package)",
            "= 0.011, lowered to the maximum cost of a call, 0.02, so 0.05 CAD",
        ),
        (
            {"payphone_surcharge": "0.6", "ani_ii": "27"},
            "for the payphone 0.6 (by the package), as ANI II digits 27 mean a payphone",
            " + 0.6 for the payphone = 0.611, so 0.05 CAD",
        ),
        (
            {"connection_fee": "0.02", "minimum_cost": "0.01", "maximum_cost": "1"},
            "for the connection 0.02 (by the package), at least 0.01 (by the package),"
            " at most 1 (by the package)",
            " + 0.02 for the connection = 0.031, so 0.05 CAD",
        ),
    ],
)
def test_the_amounts_for_a_call_are_explained(
    priced: dict[str, Any], each_call: str, ending: str
) -> None:
    found = by_label(of_call(history(charge(-50_000, **priced))))
    assert found["each call"] == each_call
    assert found["cost"].endswith(ending)


@pytest.mark.parametrize(
    ("rate_from", "text"),
    [
        ("custom-outbound", "the package's custom outbound rate, as prefix 1 (Canada)"),
        ("custom-inbound", "the package's custom inbound rate"),
        ("inbound-did", "the package's inbound rate of 1 (Canada)"),
        ("flat", "the product's flat rate"),
    ],
)
def test_the_source_of_a_rate_is_named(rate_from: str, text: str) -> None:
    assert text in by_label(of_call(history(charge(rate_from=rate_from))))["priced by"]


def test_the_undoing_of_a_rerating_is_named() -> None:
    rerated = {"run_id": "r1", "replaces": "e1", "undone": True}
    found = by_label(of_call(history(charge(rerated=rerated))))
    assert found["re-rated"] == "by the undoing of run r1, in the place of e1"


def test_instants_are_lines_of_their_own_to_the_second() -> None:
    lines = [line for line in of_call(history(charge())) if line.at is not None]
    assert {line.label: line.text for line in lines} == {
        "started": "2026-11-21 12:00:00 UTC",
        "answered": "2026-11-21 12:00:05 UTC",
        "posted": "2026-11-21 12:00:00 UTC",
    }
    assert lines[-1].at == AT


def unrated(reason: str) -> dict[str, Any]:
    return {
        "call_id": CALL, "server_id": "pbx1", "tenant": "north", "reason": reason, "detail": "why",
        "account_id": None, "service_id": None, "billsec": 60, "started_at": AT, "queued_at": AT,
    }  # fmt: skip


REASONS = get_args(CallUnrated.model_fields["reason"].annotation)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_an_unrated_call_has_a_remedy(reason: str) -> None:
    found = by_label(of_call(history(unrated=unrated(reason))))
    assert found["outcome"] == f"not rated yet: {reason}"
    assert found["what to do"] == f"{REMEDIES[reason]}; then: ringfence unrated replay {CALL}"


@pytest.mark.parametrize(
    ("reason", "to_do"),
    [
        ("row-not-confirmed", "the PBX holds no such call"),
        ("row-unreadable", "correct the name or number of the extension"),
    ],
)
def test_a_row_that_its_pbx_does_not_confirm_has_a_remedy(reason: str, to_do: str) -> None:
    found = by_label(of_call(history(unrated=unrated(reason))))
    assert found["what to do"].startswith(to_do)


def test_there_is_no_remedy_without_a_reason() -> None:
    assert set(REMEDIES) == set(REASONS)


def not_billed(reason: str, *, hidden: bool = False, **explained: object) -> dict[str, Any]:
    detail = {**DETAILS, "explanation": {"number": "1", "not_billed": reason, **explained}}
    return {
        "account_id": "1001", "service_id": "pbx-1", "reason": reason, "hidden": hidden,
        "started_at": AT, "posted_at": AT, "detail": detail,
    }  # fmt: skip


def test_a_filter_that_hides_a_call_says_so() -> None:
    parts = not_billed("filter-hidden", hidden=True, pattern="1800xxxxxxx")
    found = by_label(of_call(history(not_billed=parts)))
    assert found["outcome"] == "not billed: a filter of its package hides it"
    assert found["filter"] == "1800xxxxxxx, which hides it from the client too"
    found = by_label(of_call(history(not_billed=not_billed("filter-not-billed", pattern="1x"))))
    assert found["filter"] == "1x"


def test_a_call_of_which_nothing_is_stored_has_no_outcome() -> None:
    assert history().is_empty
    with pytest.raises(ValueError, match="nothing is stored"):
        _ = history().outcome


def test_a_payment_without_a_reference_says_so() -> None:
    row = {**charge(5_000_000), "kind": "top-up", "explanation": {}}
    found = by_label(of_payment(row))
    assert found["outcome"] == "top-up of 5.00 CAD"
    assert found["reference"] == "none given"


@pytest.mark.parametrize(
    ("kind", "details", "what"),
    [
        ("charge", DETAILS, "outbound 14165550100, 66 s"),
        ("charge", {**DETAILS, "direction": ""}, "call 14165550100, 66 s"),
        ("reversal", {"rerated": {"run_id": "12345678-90"}}, "re-rated by 12345678"),
        ("top-up", {"reference": "cash"}, "cash"),
        ("top-up", {}, ""),
        ("adjustment", {"refunds": "12345678-90", "reference": ""}, "refund of 12345678"),
        ("adjustment", {"refunds": "12345678-90", "reference": "x"}, "refund of 12345678, x"),
    ],
)
def test_what_an_entry_is_for(kind: str, details: dict[str, Any], what: str) -> None:
    assert what_of(kind, details) == what


def test_a_range_that_does_not_add_up_says_which_sum_is_wrong() -> None:
    balance = Balance(7, 7, 0, differs=False)
    found = LedgerRange(Position(1, 5), Position(2, 7), 1, 2, [], balance)
    assert found.difference == ""
    assert "opening and entries" in found._replace(sum_micro=1).difference
    wrong = found._replace(balance=Balance(8_000_000, 7_000_000, 3, differs=True)).difference
    assert wrong == (
        "all entries come to 7.00, the balance is 8.00; 3 do not follow from the one before"
    )


def test_a_pbx_id_is_the_id_that_its_call_has() -> None:
    found = read_call_name("a@b@pbx1")
    assert found.first == found.last == call_id("pbx1", "a@b")


@given(st.uuids(), st.integers(8, 31))
def test_the_first_digits_mean_the_ids_that_begin_so(found: UUID, length: int) -> None:
    wanted = read_call_name(found.hex[:length])
    assert wanted.first <= found <= wanted.last
    assert wanted.first < wanted.last
    assert wanted.first.hex[:length] == wanted.last.hex[:length] == found.hex[:length]


def test_a_whole_id_is_read_with_and_without_dashes_and_in_capitals() -> None:
    found = uuid4()
    for text in (str(found), found.hex, str(found).upper(), f" {found} "):
        assert read_call_name(text) == (found, found)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadInput):
        wanted = read_call_name(text)
        assert wanted.first <= wanted.last
