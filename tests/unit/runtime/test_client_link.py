"""Links to clients' own pages: what a token says, and that nobody else can make one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.mail.client_link import (
    LINK_VALID,
    BadLink,
    link_url,
    make_client_link,
    mark_of,
    read_client_link,
)
from ringfence.mail.unsubscribe import make_token

KEY = b"a key for tests, long enough"
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
ADDRESSES = ("ada@example.net", "desk@example.net")
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(st.text(min_size=1, max_size=100), INSTANTS, st.booleans())
def test_a_link_names_its_client_and_its_end(account: str, at: datetime, may: bool) -> None:
    token = make_client_link(account, ADDRESSES, KEY, at, may_change=may)
    found = read_client_link(token, KEY, at)
    assert (found.account_id, found.made_at, found.may_change) == (account, at, may)
    assert found.ends_at == at + LINK_VALID
    assert found.mark == mark_of(ADDRESSES, KEY)


@given(st.integers(0, 400), st.characters(codec="ascii", min_codepoint=33))
def test_a_link_with_any_other_character_is_refused(place: int, char: str) -> None:
    token = make_client_link("1042", ADDRESSES, KEY, NOW)
    place %= len(token)
    if token[place] != char:
        with pytest.raises(BadLink):
            read_client_link(token[:place] + char + token[place + 1 :], KEY, NOW)


@given(st.text(max_size=1200))
def test_no_text_is_a_link(text: str) -> None:
    with pytest.raises(BadLink):
        read_client_link(text, KEY, NOW)


def test_a_link_is_valid_for_seven_days_and_never_longer() -> None:
    token = make_client_link("1042", ADDRESSES, KEY, NOW, valid_for=timedelta(days=90))
    read_client_link(token, KEY, NOW + LINK_VALID - timedelta(seconds=1))
    with pytest.raises(BadLink, match="too old"):
        read_client_link(token, KEY, NOW + LINK_VALID)
    short = make_client_link("1042", ADDRESSES, KEY, NOW, valid_for=timedelta(minutes=15))
    with pytest.raises(BadLink, match="too old"):
        read_client_link(short, KEY, NOW + timedelta(minutes=15))


def test_a_link_of_another_key_or_purpose_is_refused() -> None:
    for token in (
        make_client_link("1042", ADDRESSES, b"another key of sixteen", NOW),
        make_token("1042", KEY, NOW),
    ):
        with pytest.raises(BadLink, match="not made by us"):
            read_client_link(token, KEY, NOW)


def test_the_mark_is_that_of_the_addresses_in_any_order_and_shows_none() -> None:
    assert mark_of(ADDRESSES, KEY) == mark_of(ADDRESSES[::-1], KEY)
    assert mark_of(ADDRESSES, KEY) != mark_of(ADDRESSES[:1], KEY)
    assert "ada" not in make_client_link("1042", ADDRESSES, KEY, NOW)


def test_the_secret_is_behind_the_part_that_servers_are_sent() -> None:
    assert link_url("https://my.example.net/", "abc") == "https://my.example.net/my#abc"
