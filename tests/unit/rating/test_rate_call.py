"""The outcome of a call: rated, not billed or unrated, and its reason."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import (
    NotBilled,
    PricedCall,
    Rated,
    Unrated,
    UnratedReason,
    price_call,
    rate_call,
)
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence.numbers.facts import DATA_VERSION
from ringfence_contracts.events.account import Service
from ringfence_contracts.events.call import CallCompleted, CallUnrated
from ringfence_testing import records
from ringfence_testing.records import NOON

ROWS = [
    ("1", "North America", "0.01", 6, 6, 1),
    ("1204", "Manitoba", "0.02", 60, 6, 1),
    ("1800", "Toll Free", "0", 1, 1, 1),
    ("1876", "Jamaica", "0.30", 60, 60, 1),
    ("44", "United Kingdom", "0.05", 1, 1, 1),
    ("447", "United Kingdom, mobile", "0.5", 1, 1, 0),
    ("226", "Burkina Faso", "0.6", 1, 1, 1),
    ("221", "Senegal", "0.7", 1, 1, 1),
    ("911", "Emergency", "0", 1, 1, 1),
    ("112", "Emergency, custom", "0", 1, 1, 0),
    ("4470", "Personal numbers", "0", 60, 60, 2),
    ("1411", "Directory", "0", 60, 60, 2),
    ("411", "Directory", "0", 60, 60, 2),
]
PACKAGE = {
    "tariff_id": "retail",
    "markup_percent": "220",
    "custom_outbound_rate": "0.029",
    "custom_outbound_increment": "60/60",
    "free_minutes": 10,
}


def versions(currency: str = "CAD") -> TariffVersions:
    day_before = NOON - timedelta(days=1)
    return TariffVersions([TariffVersion(7, "retail", currency, day_before, Deck(ROWS))])


PRICED_CODES = (
    *(row for row in ROWS if row[0] not in ("221", "411", "911")),
    ("411", "Directory assistance", "1.50", 60, 60, 1),
    ("310", "Local services", "0.05", 60, 60, 1),
    ("31", "Netherlands", "0.015", 1, 1, 1),
)


def versions_of(rows: Iterable[tuple[str, str, str, int, int, int]]) -> TariffVersions:
    day_before = NOON - timedelta(days=1)
    return TariffVersions([TariffVersion(7, "retail", "CAD", day_before, Deck(rows))])


def rated_with(
    rows: Iterable[tuple[str, str, str, int, int, int]], number: str, free_s: int = 0
) -> Rated:
    outcome = rate_call(call(number, billsec=30), matched({}), versions_of(rows), free_s)
    assert isinstance(outcome, Rated), outcome
    return outcome


def matched(package: dict[str, Any] | None = None, **service: Any) -> Match:
    """A product of an account in CAD; `package` changes the usual one, {} leaves it as it is."""
    given_ = {
        "service_id": "s1",
        "name": "trunk",
        "kind": "fusionpbx",
        "server_id": "pbx1",
        "tenant": "mcon.example.com",
        "package": None if package is None else PACKAGE | package,
    }
    services = (Service.model_validate(given_ | service),)
    account = records.account("a1", services=services, time_zone="UTC")
    found = ProductIndex([account]).match(call("14165550101"))
    assert isinstance(found, Match)
    return found


def call(number: str, **fields: Any) -> CallCompleted:
    """An answered outbound call of 61 seconds, without an extension."""
    usual: dict[str, Any] = {
        "tenant": "mcon.example.com",
        "answered_at": NOON + timedelta(seconds=5),
        "ended_at": NOON + timedelta(minutes=2),
        "billsec": 61,
        "destination_number": number,
        "extension": "",
    }
    return records.call(**(usual | fields))


def rated(number: str, package: dict[str, Any] | None = None, **fields: Any) -> Rated:
    outcome = rate_call(call(number, **fields), matched(package or {}), versions())
    assert isinstance(outcome, Rated), outcome
    return outcome


def not_billed(number: str, package: dict[str, Any] | None = None, **fields: Any) -> NotBilled:
    outcome = rate_call(call(number, **fields), matched(package or {}), versions())
    assert isinstance(outcome, NotBilled), outcome
    return outcome


def unrated(number: str, package: dict[str, Any] | None = None, **fields: Any) -> Unrated:
    outcome = rate_call(call(number, **fields), matched(package or {}), versions())
    assert isinstance(outcome, Unrated), outcome
    assert outcome.detail
    return outcome


class TestBillFrom:
    """A call is billed from the product's instant on; what counts is when the call ended."""

    ENDED = NOON + timedelta(minutes=2)

    @pytest.mark.parametrize("seconds", [-86_400, -1, 0])
    def test_a_call_that_ended_at_it_or_after_is_billed(self, seconds: int) -> None:
        match = matched({}, bill_from=self.ENDED + timedelta(seconds=seconds))
        assert isinstance(rate_call(call("4165550101"), match, versions()), Rated)

    @pytest.mark.parametrize("later", [timedelta(microseconds=1), timedelta(days=9)])
    def test_a_call_that_ended_before_it_is_not(self, later: timedelta) -> None:
        bill_from = self.ENDED + later
        outcome = rate_call(call("4165550101"), matched({}, bill_from=bill_from), versions())
        assert isinstance(outcome, NotBilled)
        assert (outcome.reason, outcome.hidden) == ("before-bill-from", False)
        assert outcome.explanation == {
            "number": "14165550101",
            "not_billed": "before-bill-from",
            "bill_from": bill_from.isoformat(),
        }

    def test_it_precedes_every_other_rule(self) -> None:
        """Also for a call that no filter, tariff or direction says anything of yet."""
        later = self.ENDED + timedelta(seconds=1)
        for package in ({"hide": ["[outbound]"]}, {"tariff_id": "none"}):
            outcome = rate_call(
                call("4165550101", direction="", billsec=0),
                matched(package, bill_from=later),
                versions(),
            )
            assert isinstance(outcome, NotBilled)
            assert outcome.reason == "before-bill-from"


class TestRated:
    def test_outbound_by_the_longest_prefix_with_markup(self) -> None:
        assert rated("4165550101").cost_micro == 24_200  # 66 s at 0.022 a minute
        assert rated("2045550101").cost_micro == 48_400  # 66 s at 0.044 a minute

    def test_a_row_of_status_0_takes_the_custom_rate_without_markup(self) -> None:
        outcome = rated("011447700900123")
        assert (outcome.billed_s, outcome.cost_micro) == (120, 58_000)
        assert outcome.explanation["rate_from"] == "custom-outbound"

    def test_the_explanation_holds_every_input_of_the_price(self) -> None:
        outcome = rate_call(call("(204) 555-0101"), matched({}), versions(), 6)
        assert isinstance(outcome, Rated)
        assert outcome.explanation == {
            "number": "12045550101",
            "dialled": "2045550101",
            "international": False,
            "number_data": DATA_VERSION,
            "prefix": "1204",
            "description": "Manitoba",
            "tariff_id": "retail",
            "tariff_version": 7,
            "rate_per_min": "0.02",
            "rate_from": "tariff",
            "markup_percent": "220",
            "increment": "60/6",
            "connection_fee": "0",
            "billed_s": 66,
            "free_s": 6,
            "rounding": "once per call, half up, to 0.000001",
        }
        assert orjson.loads(orjson.dumps(outcome.explanation)) == outcome.explanation
        assert outcome.number == "12045550101"

    def test_a_zero_row_is_rated_at_zero_and_shown(self) -> None:
        """Neither the connection fee nor free seconds go to a call that costs nothing."""
        package = matched({"connection_fee": "0.05"})
        outcome = rate_call(call("8005550101"), package, versions(), 600)
        assert isinstance(outcome, Rated)
        assert (outcome.cost_micro, outcome.free_s, outcome.billed_s) == (0, 0, 61)
        assert outcome.explanation["description"] == "Toll Free"

    def test_an_emergency_number_that_the_tariff_names_is_rated_at_zero(self) -> None:
        outcome = rated("911")
        assert outcome.cost_micro == 0
        assert outcome.explanation["prefix"] == "911"

    @pytest.mark.parametrize(
        ("number", "prefix", "cost_micro"),
        [("411", "411", 3_300_000), ("411#", "411", 3_300_000), ("3101234", "310", 110_000)],
    )
    def test_a_row_that_names_a_short_code_prices_it(
        self, number: str, prefix: str, cost_micro: int
    ) -> None:
        """At the row's rate with its markup; free minutes pay for numbers only."""
        found = rated_with(PRICED_CODES, number, free_s=600 if number[0] == "4" else 0)
        assert (found.explanation["prefix"], found.cost_micro) == (prefix, cost_micro)
        assert found.free_s == 0

    @pytest.mark.parametrize("number", ["2112", "1204", "211", "221"])
    def test_an_extension_is_priced_by_no_row_that_names_a_country_or_an_area(
        self, number: str
    ) -> None:
        others = [row for row in PRICED_CODES if row[0] != number]
        rows = (*others, (number, "abroad", "0.7", 60, 60, 1))
        outcome = rate_call(call(number), matched({}), versions_of(rows))
        assert isinstance(outcome, NotBilled)

    def test_a_products_own_extension_is_no_short_code(self) -> None:
        match = matched({}, extensions=("411",), rest_of_tenant=True)
        outcome = rate_call(call("411"), match, versions_of(PRICED_CODES))
        assert isinstance(outcome, NotBilled)

    def test_a_british_short_code_has_its_row_or_waits(self) -> None:
        british = {"country_code": "44", "exit_code": "00", "nanpa_10_digit": False}
        rows = (*PRICED_CODES, ("116123", "Samaritans", "0", 60, 60, 1))
        outcome = rate_call(call("116123"), matched(british), versions_of(rows))
        assert isinstance(outcome, Rated)
        assert (outcome.number, outcome.cost_micro) == ("116123", 0)
        waiting = rate_call(call("118500"), matched(british), versions_of(rows))
        assert isinstance(waiting, Unrated)
        assert waiting.reason == "invalid-number"

    @pytest.mark.parametrize(
        ("number", "free_s"),
        [
            ("16135550123", 61),
            ("12125550101", 61),
            ("19005551234", 0),
            ("14169765555", 0),
            ("16715551234", 0),
            ("17875551234", 0),
            ("16845551234", 0),
            ("18765550101", 0),
            ("+447700900123", 0),
        ],
    )
    def test_free_minutes_pay_for_ordinary_numbers_of_the_own_country(
        self, number: str, free_s: int
    ) -> None:
        rows = [("1", "NANP", "1", 1, 1, 1), ("44", "United Kingdom", "1", 1, 1, 1)]
        outcome = rate_call(call(number), matched({}), versions_of(rows), 600)
        assert isinstance(outcome, Rated)
        assert outcome.free_s == free_s
        flat = rate_call(call(number), matched({}, flat_rate="1"), TariffVersions(), 600)
        assert isinstance(flat, Rated)
        assert bool(flat.free_s) is bool(free_s)

    def test_an_explanation_names_a_premium_number(self) -> None:
        assert rated("19005551234").explanation["premium"] is True
        assert "premium" not in rated("16135550123").explanation

    def test_a_plus_that_its_pbx_loses_makes_the_number_complete(self) -> None:
        """A + that the reader of posted records has seen: 45 is Denmark, whatever follows."""
        rows = [("1", "NANP", "0.01", 6, 6, 1), ("45", "Denmark", "0.02", 60, 60, 1)]
        seen = rate_call(call("4512345678", lost_prefix="+"), matched({}), versions_of(rows))
        assert isinstance(seen, Rated)
        assert seen.explanation["prefix"] == "45"
        unseen = rate_call(call("4512345678"), matched({}), versions_of(rows))
        assert isinstance(unseen, Unrated)

    def test_inbound_by_the_custom_rate_without_markup_or_free_seconds(self) -> None:
        package = {
            "inbound_enabled": True,
            "custom_inbound_rate": "0.0049",
            "connection_fee": "0.01",
        }
        inbound = call("2112", direction="inbound", caller_destination="5192229000")
        outcome = rate_call(inbound, matched(package), versions(), 600)
        assert isinstance(outcome, Rated)
        assert (outcome.billed_s, outcome.free_s, outcome.cost_micro) == (120, 0, 19_800)
        assert outcome.number == "15192229000"
        assert outcome.explanation["rate_from"] == "custom-inbound"

    @pytest.mark.parametrize("taken_by", ["2112", "*99", "anonymous", ""])
    def test_inbound_is_billed_for_any_receiver(self, taken_by: str) -> None:
        package = {"inbound_enabled": True, "custom_inbound_rate": "0.0049"}
        assert rated(taken_by, package, direction="inbound").cost_micro == 9_800

    def test_a_late_call_is_rated_by_the_version_in_force_when_it_was_answered(self) -> None:
        both = versions()
        both.add(TariffVersion(8, "retail", "CAD", NOON, Deck([("1", "dearer", "1", 60, 60, 1)])))
        before = NOON - timedelta(seconds=1)
        answered_before = call("4165550101", started_at=before, answered_at=before)
        without_time = call("4165550101", answered_at=None, started_at=NOON)
        for late, version in ((answered_before, 7), (without_time, 8)):
            outcome = rate_call(late, matched({}), both)
            assert isinstance(outcome, Rated)
            assert outcome.explanation["tariff_version"] == version

    def test_only_billsec_matters_not_the_status(self) -> None:
        assert rated("4165550101", status="failed", billsec=3).billed_s == 6


class TestFreeSeconds:
    @pytest.mark.parametrize(
        ("number", "free_s"),
        [("4165550101", 30), ("01144207946000", 0), ("18765550101", 0), ("8005550101", 0)],
    )
    def test_they_apply_to_national_calls_that_cost_something(
        self, number: str, free_s: int
    ) -> None:
        outcome = rate_call(call(number), matched({}), versions(), 30)
        assert isinstance(outcome, Rated)
        assert outcome.free_s == free_s
        assert (outcome.priced.bundle is not None) is (free_s > 0)

    CALLS = st.lists(
        st.tuples(
            st.sampled_from(["4165550101", "2045550101", "18765550101", "8005550101"]),
            st.integers(1, 900),
        ),
        max_size=10,
    )

    @given(CALLS, st.randoms())
    def test_the_same_number_is_used_in_any_order(
        self, calls: list[tuple[str, int]], shuffle: Any
    ) -> None:
        package, tariffs = matched({}), versions()

        def used(in_order: list[tuple[str, int]]) -> int:
            left_s = 600
            for number, billsec in in_order:
                settled = price_call(call(number, billsec=billsec), package, tariffs)
                assert isinstance(settled, PricedCall)
                left_s -= settled.charge(left_s).free_s
            return 600 - left_s

        assert used(calls) == used(shuffle.sample(calls, len(calls)))


class TestNotBilled:
    @pytest.mark.parametrize(
        ("number", "fields", "reason"),
        [
            ("4165550101", {"billsec": 0}, "unanswered"),
            ("4165550101", {"billsec": 0, "direction": ""}, "unanswered"),
            ("sip:x", {"billsec": 0}, "unanswered"),
            ("2113", {}, "extension"),
            ("2211", {}, "extension"),
            ("221", {}, "extension"),
            ("112", {}, "extension"),
            ("2113", {"direction": ""}, "extension"),
            ("*97", {}, "feature-code"),
            ("*97", {"direction": ""}, "feature-code"),
            ("*724165550101", {"direction": ""}, "feature-code"),
            ("2113", {"direction": "local"}, "local"),
            ("200100", {"direction": "local"}, "local"),
            ("park+7001", {"direction": "local"}, "local"),
            ("*97", {"direction": "local"}, "local"),
            ("911", {"direction": "local"}, "local"),
            ("4165550101", {"direction": "inbound"}, "inbound-not-enabled"),
        ],
    )
    def test_by_rule(self, number: str, fields: dict[str, Any], reason: str) -> None:
        outcome = not_billed(number, **fields)
        assert (outcome.reason, outcome.hidden) == (reason, False)
        assert outcome.explanation["not_billed"] == reason

    @pytest.mark.parametrize("fields", [{}, {"billsec": 0}, {"direction": "local"}])
    def test_a_hidden_call_is_hidden_whatever_other_rule_applies(
        self, fields: dict[str, Any]
    ) -> None:
        outcome = not_billed("4443", {"hide": ("4443",)}, **fields)
        assert (outcome.reason, outcome.hidden) == ("filter-hidden", True)
        assert outcome.explanation["pattern"] == "4443"

    def test_a_not_billed_filter_precedes_the_price_and_shows_the_call(self) -> None:
        package = {"not_billed": ("[inbound]", "416xxxxxxx", "911")}
        for number, fields in (
            ("4165550101", {}),
            ("911", {}),
            ("5192229000", {"direction": "inbound"}),
        ):
            outcome = not_billed(number, package, **fields)
            assert (outcome.reason, outcome.hidden) == ("filter-not-billed", False)

    def test_inbound_filters_match_the_did(self) -> None:
        package = {
            "inbound_enabled": True,
            "custom_inbound_rate": "1",
            "not_billed": ("5192229000",),
        }
        fields = {"direction": "inbound", "caller_destination": "15192229000"}
        assert not_billed("2112", package, **fields).reason == "filter-not-billed"


class TestUnrated:
    @pytest.mark.parametrize(
        ("number", "fields", "reason"),
        [
            ("4165550101", {"direction": ""}, "unknown-direction"),
            ("sip:4165550101@example.com", {}, "invalid-number"),
            ("", {}, "invalid-number"),
            ("5551234", {}, "invalid-number"),
            ("*674165550101", {}, "invalid-number"),
            ("+33142685300", {}, "no-matching-prefix"),
            (
                "4165550101",
                {"started_at": NOON - timedelta(days=2), "answered_at": None},
                "no-tariff-in-force",
            ),
        ],
    )
    def test_a_call_that_cannot_be_priced_is_queued(
        self, number: str, fields: dict[str, Any], reason: str
    ) -> None:
        assert unrated(number, **fields).reason == reason

    @pytest.mark.parametrize("number", ["+447012345678", "14115550101", "411"])
    def test_a_call_to_a_blocked_row_waits_and_is_never_priced_by_a_shorter_prefix(
        self, number: str
    ) -> None:
        outcome = unrated(number)
        assert outcome.reason == "no-matching-prefix"
        assert "is blocked in tariff retail version 7" in outcome.detail

    @pytest.mark.parametrize(
        "number",
        [
            "16135550123",
            "4165550101",
            "0119603331234",
            "+9603331234",
            "00442079460000",
            "*674165550101",
        ],
    )
    def test_a_local_call_to_a_number_outside_the_tenant_is_not_free(self, number: str) -> None:
        outcome = unrated(number, direction="local")
        assert outcome.reason in ("unknown-direction", "invalid-number")

    @pytest.mark.parametrize("number", ["5192229000", "+1 519 222-9000", "15192229000#"])
    def test_a_local_call_to_a_did_of_the_tenant_is_free(self, number: str) -> None:
        match = matched({}, dids=("15192229000",))
        outcome = rate_call(call(number, direction="local"), match, versions())
        assert isinstance(outcome, NotBilled)
        assert outcome.reason == "local"

    def test_310_without_a_row_is_not_the_netherlands(self) -> None:
        rows = [row for row in PRICED_CODES if row[0] != "310"]
        outcome = rate_call(call("310-1234"), matched({}), versions_of(rows))
        assert isinstance(outcome, Unrated)
        assert outcome.reason == "no-matching-prefix"

    def test_a_bare_canadian_number_is_never_burkina_faso(self) -> None:
        assert rated("2265551234").explanation["prefix"] == "1"
        assert unrated("2265551234", {"nanpa_10_digit": False}).reason == "invalid-number"

    @pytest.mark.parametrize(
        "package",
        [
            {"custom_outbound_rate": None},
            {"custom_outbound_increment": "0/60"},
            {"custom_outbound_rate": "999999999999"},
        ],
    )
    def test_a_call_without_a_usable_custom_rate_is_not_free(self, package: dict[str, Any]) -> None:
        outcome = unrated("447700900123", package)
        assert outcome.reason == "no-tariff-in-force"
        assert "447" in outcome.detail

    @pytest.mark.parametrize(
        "package", [{}, {"custom_inbound_rate": "0.01", "custom_inbound_increment": "60/0"}]
    )
    def test_an_inbound_call_without_a_usable_rate_is_not_free(
        self, package: dict[str, Any]
    ) -> None:
        package = {"inbound_enabled": True} | package
        assert unrated("5192229000", package, direction="inbound").reason == "no-tariff-in-force"

    @pytest.mark.parametrize("lists", [{"hide": ("[local",)}, {"not_billed": ("1-800",)}])
    def test_a_malformed_filter_is_not_half_applied(self, lists: dict[str, Any]) -> None:
        for fields in ({}, {"billsec": 0}, {"direction": "inbound"}):
            outcome = unrated("4165550101", lists, **fields)
            assert outcome.reason == "no-tariff-in-force"
            assert "filters" in outcome.detail

    @pytest.mark.parametrize("direction", ["outbound", "inbound"])
    def test_a_tariff_in_another_currency_is_not_converted(self, direction: str) -> None:
        package = matched({"inbound_enabled": True, "custom_inbound_rate": "0.01"})
        outcome = rate_call(call("4165550101", direction=direction), package, versions("USD"))
        assert isinstance(outcome, Unrated)
        assert outcome.reason == "currency-mismatch"

    def test_a_product_without_package_has_no_price(self) -> None:
        outcome = rate_call(call("4165550101"), matched(None), versions())
        assert isinstance(outcome, Unrated)
        assert outcome.reason == "no-tariff-in-force"

    def test_the_reasons_are_those_of_the_topic(self) -> None:
        topic_reasons = CallUnrated.model_fields["reason"].annotation
        assert set(get_args(UnratedReason)) == set(get_args(topic_reasons))


class TestFlatRate:
    """Les.net's products may carry their own rate per minute; they need no tariff then."""

    @pytest.mark.parametrize("number", ["4165550101", "+33142685300"])
    def test_outbound_by_the_minute(self, number: str) -> None:
        outcome = rate_call(call(number), matched(None, flat_rate="0.03"), TariffVersions())
        assert isinstance(outcome, Rated)
        assert (outcome.billed_s, outcome.cost_micro) == (120, 60_000)
        assert outcome.explanation["rate_from"] == "flat"

    def test_free_minutes_are_for_national_calls(self) -> None:
        for number, free_s in (("4165550101", 90), ("+33142685300", 0)):
            package = matched({}, flat_rate="0.03")
            outcome = rate_call(call(number), package, TariffVersions(), 90)
            assert isinstance(outcome, Rated)
            assert outcome.free_s == free_s

    def test_inbound_only_where_it_is_enabled(self) -> None:
        inbound = call("12046664021", direction="inbound")
        outcome = rate_call(inbound, matched(None, flat_rate="0.03"), TariffVersions())
        assert isinstance(outcome, NotBilled)
        enabled = matched({"inbound_enabled": True}, flat_rate="0.03")
        outcome = rate_call(inbound, enabled, TariffVersions())
        assert isinstance(outcome, Rated)
        assert outcome.cost_micro == 60_000
        assert outcome.explanation["rate_from"] == "flat"

    @pytest.mark.parametrize(
        ("number", "kind"), [("2112", NotBilled), ("*97", NotBilled), ("sip:x", Unrated)]
    )
    def test_a_local_or_invalid_number_is_not_priced(self, number: str, kind: type) -> None:
        outcome = rate_call(call(number), matched(None, flat_rate="0.03"), TariffVersions())
        assert isinstance(outcome, kind)


NUMBERS = st.one_of(st.text(max_size=20), st.text("0123456789*#+", max_size=16))


@given(
    NUMBERS,
    st.sampled_from(["inbound", "outbound", "local", ""]),
    st.integers(0, 7_200),
    st.integers(0, 600),
    st.booleans(),
)
def test_every_call_gets_exactly_one_outcome(
    number: str, direction: str, billsec: int, free_left: int, inbound_enabled: bool
) -> None:
    """Whatever a PBX recorded: a price that is not negative, or a reason; never an error."""
    package = matched({"inbound_enabled": inbound_enabled, "custom_inbound_rate": "0.01"})
    written = number.replace("\x00", "")
    recorded = call(written, direction=direction, billsec=billsec)
    outcome = rate_call(recorded, package, versions(), free_left)
    if isinstance(outcome, Rated):
        assert outcome.cost_micro >= 0
        assert outcome.billed_s >= billsec > 0
        assert 0 <= outcome.free_s <= free_left
        assert outcome.explanation["billed_s"] == outcome.billed_s
    else:
        assert outcome.reason
