"""Emergency numbers are recognized in every spelling, and no other numbers are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.emergency import NUMBERS, is_emergency, names_emergency

HELP = ["911", "112", "999", "000", "933", "+911", "+112", " 911 ", "9 911", "9911", "9-911"]
HELP += ["9,911", "9112", "9999", "9000", "9.933", "911#", "(911)", "1 1 2", "9 1 1"]
NO_HELP = ["", "9", "91", "19115550100", "+19115550100", "4169990100", "416-999-0100", "0112"]
NO_HELP += ["99911", "9113", "1911", "2112", "119", "99", "00", "help", "911help", "x911"]


@pytest.mark.parametrize("number", HELP)
def test_an_emergency_number_is_recognized_in_every_spelling(number: str) -> None:
    assert is_emergency(number)


@pytest.mark.parametrize("number", NO_HELP)
def test_other_numbers_are_not_emergency_numbers(number: str) -> None:
    assert not is_emergency(number)


WITHIN = ['"Help" <sip:911@pbx.example>', "tel:999", "sip:+112@host", "<sip:9911@10.0.0.112:5060>"]
WITHIN += ["2112 911", "2112->911", "sip:911;phone-context=+1@host", "E911 Ottawa", "PSAP_911"]
WITHIN += ["9-911", "sip:9-911@x", "call 000.", "urn:service:sos", "urn:service:sos.fire"]
WITHIN += ["*911", "911 - police", "911"]
NOT_WITHIN = ["", "<sip:19115550100@x>", "sip:2112@10.0.112.5", "112.16.0.4", "10.0.0.112"]
NOT_WITHIN += ["416-999-0100", "(416) 999-0100", "bob999@host", "abc911def", "x911x", "9110"]
NOT_WITHIN += ["2112", '"Police 2112" <sip:2112@x>', "urn:service:sosie", "99911"]


@pytest.mark.parametrize("text", WITHIN)
def test_an_emergency_number_is_found_within_a_text(text: str) -> None:
    assert names_emergency(text)


@pytest.mark.parametrize("text", NOT_WITHIN)
def test_a_part_of_a_number_or_of_an_address_is_not_found(text: str) -> None:
    assert not names_emergency(text)


@given(st.sampled_from(NUMBERS), st.sampled_from(["", "+", "9", "9 "]), st.sampled_from("<:; @\"'"))
def test_an_emergency_number_is_found_between_any_punctuation(
    number: str, before: str, mark: str
) -> None:
    assert is_emergency(before + number)
    assert names_emergency(f"{mark}{before}{number}{mark}")


@given(st.from_regex(r"\+?[0-9]{5,15}", fullmatch=True))
def test_a_number_of_five_digits_or_more_is_no_emergency_number(number: str) -> None:
    assert not is_emergency(number)
    assert not names_emergency(number)
