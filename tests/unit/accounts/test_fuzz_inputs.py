"""Whatever is sent to accounts, its readers take it or refuse it in words."""

import base64
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from accounts.confirmations import read_confirmation
from accounts.paging import decode_cursor, read_id, read_text, read_version
from accounts.tariffs.decks.layout import DeckLayout
from accounts.tariffs.decks.reader import TariffReader
from accounts.tariffs.decks.rows import BadTariff
from accounts.typed.instants import read_instant
from ringfence_contracts.errors import BadInput, Reject
from ringfence_contracts.examples import examples_of
from ringfence_contracts.topics import SERVICE_SUSPENDED
from ringfence_testing.records import from_outgoing
from tests.support.hostile import EXAMPLES, ODD_HEADERS, ODD_JSON, damaged, documents, survives

CARD = (
    b"Description,Prefix,RateValue,Increment\nCanada,1,0.0100,6\nToronto,1416,.008,30/6\n"
    b'"Albania, mobile",35544416,0.54401,60\n'
)


LAYOUTS = st.builds(
    DeckLayout,
    mapping=st.sampled_from(
        (
            {},
            {"Prefix": "#2", "RateValue": "#3", "Description": "#1", "Increment": "#4"},
            {"Prefix": "Code", "CountryCode": "#1"},
            {"EffectiveDate": "#1", "EndDate": "#1", "Blocked": "#4"},
            {"InitialIncrement": "#4", "NextIncrement": "#4", "Origination": "#9"},
        )
    ),
    delimiter=st.sampled_from((None, ",", ";", "tab", "pipe")),
    decimal_comma=st.booleans(),
    header=st.booleans(),
    increment=st.sampled_from((None, "60/60")),
    dates=st.sampled_from((None, "dmy", "mdy")),
    zone=st.sampled_from(("UTC", "America/Sao_Paulo")),
    encoding=st.sampled_from((None, "cp1252")),
    rate_per=st.sampled_from((None, "second")),
    price_unit=st.sampled_from((None, "hundredth", "thousandth")),
    put_in_front=st.sampled_from((None, "1", "44")),
    ignored=st.sampled_from(((), ("Description", "x", "#1", "#4"))),
)
CELL = st.sampled_from(
    (
        "", "44", "+607", "1-9", "4412-4419", "1;2,3", "0044", "447*", "1 204", "0.01", "0,01",
        "$1",
        "1,500.00", "60", "60/0", "30/6", "2027-01-01", "03/04/2027", "ASAP", "31-Feb-2027",
        "9999-12-31", "yes", "Blocked", "inbound", "Prefix", "Effective Date", "Description",
        "RateValue", "Increment", '"', "\x00", "\u0661", "Code",
    )
)  # fmt: skip
TABLES = st.builds(
    lambda rows, by, end: end.join(by.join(row) for row in rows).encode(),
    st.lists(st.lists(CELL, min_size=1, max_size=6), max_size=8),
    st.sampled_from((",", ";", "\t", "|")),
    st.sampled_from(("\n", "\r\n")),
)


@EXAMPLES
@given(
    damaged(CARD)
    | st.binary(max_size=300)
    | TABLES
    | TABLES.map(lambda body: CARD + body)
    | TABLES.map(lambda body: body.decode().encode("utf-16"))
    | damaged(CARD.decode().encode("utf-16")),
    LAYOUTS,
)
def test_any_tariff_file(body: bytes, layout: DeckLayout) -> None:
    def read() -> None:
        lines = iter(body.splitlines(keepends=True))
        reader = TariffReader(lines, layout)
        while rows := reader.piece(2):
            assert all(row.prefix.isdigit() and not row.prefix.startswith("0") for row in rows)
            assert all(row.initial_s >= 1 and row.increment_s >= 1 for row in rows)
        assert all(bad.expected for bad in reader.bad)

    survives(read, BadInput, BadTariff)


@EXAMPLES
@given(st.text(max_size=60) | st.binary(max_size=80).map(lambda b: base64.b64encode(b).decode()))
@example("%00")
@example(base64.urlsafe_b64encode(b"[" * 5000).decode())
@example(base64.urlsafe_b64encode(b'["0001-01-01T00:00:00+14:00", "a"]').decode())
def test_any_cursor(cursor: str) -> None:
    survives(lambda: decode_cursor(cursor, read_instant, UUID), BadInput)
    survives(lambda: decode_cursor(cursor, read_id, read_text), BadInput)
    survives(lambda: decode_cursor(cursor, read_version), BadInput)


@EXAMPLES
@given(st.sampled_from(ODD_JSON).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_json_in_a_cursor(raw: bytes) -> None:
    test_any_cursor.hypothesis.inner_test(base64.urlsafe_b64encode(raw).decode())  # type: ignore[attr-defined]


@EXAMPLES
@given(documents(examples_of(SERVICE_SUSPENDED)[0].document), st.sampled_from(ODD_HEADERS))
def test_any_confirmation(value: bytes, headers: tuple[tuple[str, bytes | None], ...]) -> None:
    record = from_outgoing(examples_of(SERVICE_SUSPENDED)[0].record())
    received = record._replace(value=value, headers=headers)
    survives(lambda: (read_confirmation(received), received.event_id), Reject)
