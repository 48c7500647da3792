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


@EXAMPLES
@given(damaged(CARD) | st.binary(max_size=300), st.sampled_from((None, ",", ";")), st.booleans())
def test_any_tariff_file(body: bytes, delimiter: str | None, comma: bool) -> None:
    def read() -> None:
        lines = iter(body.splitlines(keepends=True))
        reader = TariffReader(lines, DeckLayout({}, delimiter, comma))
        while reader.piece(2):
            pass
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
