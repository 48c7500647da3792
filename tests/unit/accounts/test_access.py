"""Tokens, idempotency keys and cursors."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from accounts.access.tokens import find_token, parse_tokens
from accounts.paging import decode_cursor, encode_cursor, page, read_version
from accounts.payments.payment import Payment, check_key, check_same, payment_id, read_amount
from accounts.refusals import Clash
from accounts.settings import Settings
from accounts.typed.instants import read_instant
from ringfence_contracts.errors import BadInput

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_token_identifies_its_user_and_may_do_everything() -> None:
    tokens = parse_tokens("desk:token-one,\nbilling:token-two\n")
    found = find_token(tokens, b"token-two", NOW)
    assert found is not None
    assert (found.name, found.may("money"), found.may("admin")) == ("billing", True, True)
    assert find_token(tokens, b"token-tw", NOW) is None
    assert find_token(tokens, b"", NOW) is None
    assert "token-one" not in repr(tokens)


@pytest.mark.parametrize(
    "pairs", ["", " , ", "desk", "desk:", "desk:short", ":no-name-here", "a b:token-one",
              "a:same-token,b:same-token"],
)  # fmt: skip
def test_invalid_token_settings_are_refused_without_showing_tokens(pairs: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_tokens(pairs)
    assert "same-token" not in str(refused.value)
    assert "no-name" not in str(refused.value)


def test_a_token_file_is_read_in_addition(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("billing:token-two\n")
    settings = Settings(accounts_tokens=SecretStr("desk:token-one"), accounts_tokens_file=file)
    pairs = settings.token_pairs().get_secret_value()
    assert [token.caller.name for token in parse_tokens(pairs)] == ["desk", "billing"]
    assert "token-one" not in repr(settings)


@pytest.mark.parametrize("key", [None, "", "a b", "é", "a\x00", "x" * 201])
def test_a_missing_or_malformed_key_is_refused(key: str | None) -> None:
    with pytest.raises(BadInput, match="Idempotency-Key"):
        check_key(key)


def test_a_payment_id_derives_from_account_and_key() -> None:
    assert payment_id("anna", "1") == payment_id("anna", "1")
    assert len({payment_id(a, k) for a in ("anna", "bert") for k in ("1", "2")}) == 4


@given(st.integers(1, 10**15))
def test_amounts_are_parsed_exactly(micro: int) -> None:
    text = f"{micro // 10**6}.{micro % 10**6:06d}"
    assert read_amount("top-up", text) == micro
    assert read_amount("adjustment", f"-{text}") == -micro
    with pytest.raises(BadInput):
        read_amount("top-up", f"-{text}")


def test_a_repeated_key_with_other_content_is_refused() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    first = Payment(UUID(int=1), "anna", "k", "top-up", 5, "CAD", "", at, "desk")
    check_same(first, Payment(UUID(int=1), "anna", "k", "top-up", 5, "CAD", "", at, "billing"))
    with pytest.raises(Clash, match=r"amount.*0\.000005"):
        check_same(first, Payment(UUID(int=1), "anna", "k", "top-up", 6, "CAD", "", at, "desk"))


def test_a_cursor_decodes_to_its_position() -> None:
    at = datetime(2026, 11, 1, 10, 0, 0, 5, UTC)
    cursor = encode_cursor(at.isoformat(), UUID(int=7))
    assert decode_cursor(cursor, read_instant, UUID) == [at, UUID(int=7)]
    assert decode_cursor(None, read_instant, UUID) == [None, None]
    with pytest.raises(BadInput, match="cursor"):
        decode_cursor(cursor, read_version)


@given(st.text(max_size=60))
def test_any_other_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        decode_cursor(text, read_instant, UUID)


def test_a_page_says_whether_more_follow() -> None:
    rows = [{"n": 1}, {"n": 2}, {"n": 3}]
    more = page(rows, 2, lambda row: (row["n"],))
    assert (more["items"], decode_cursor(more["next"], int)) == (rows[:2], [2])
    assert page(rows, 3, lambda row: (row["n"],))["next"] is None
