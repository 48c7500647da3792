"""A product's DID is found however a person and a PBX write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.numbers.dids import did_keys
from ringfence.numbers.written import did_key

LONDON = ("02079460000", "442079460000", "+44 20 7946 0000", "00442079460000", "011442079460000")
TORONTO = ("4165550101", "14165550101", "+1 (416) 555-0101", "01114165550101", "0014165550101")


@pytest.mark.parametrize("listed", LONDON)
@pytest.mark.parametrize("called", LONDON)
def test_a_british_did_is_one_in_all_its_forms(listed: str, called: str) -> None:
    assert did_key(called) in did_keys(listed, "44")


@pytest.mark.parametrize("listed", TORONTO)
@pytest.mark.parametrize("called", TORONTO)
def test_a_canadian_did_is_one_in_all_its_forms(listed: str, called: str) -> None:
    assert did_key(called) in did_keys(listed, "1")


def test_another_number_is_not_found() -> None:
    assert did_key("02079460001") not in did_keys("02079460000", "44")
    assert did_key("2079460000") not in did_keys("02079460000", "44")
    assert did_key("02079460000") not in did_keys("02079460000"[1:], "1")


@pytest.mark.parametrize("odd", ["", "8300", "0", "00", "abc", "0" * 20, "9" * 40])
def test_what_is_no_number_is_found_as_it_is_written(odd: str) -> None:
    assert did_keys(odd, "44") == tuple(filter(None, [did_key(odd)]))


@given(st.text("+0123456789 ()-", max_size=20), st.sampled_from(["1", "44", "39", "7", "999"]))
def test_the_first_key_is_the_dids_own(did: str, country_code: str) -> None:
    keys = did_keys(did, country_code)
    assert keys[:1] == tuple(filter(None, [did_key(did)]))
    assert len(set(keys)) == len(keys) <= 5
