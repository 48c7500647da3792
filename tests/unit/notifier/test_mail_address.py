"""Which mail addresses are valid: one rule for the API and for the sender."""

from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.clients.checks import check_client
from accounts.refusals import Refusals
from ringfence.mail.address import check_mail_address, is_mail_address
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Client

REFUSED = [
    "a..b@x.com",
    "a@x.com.",
    "a@x.com\u200b",
    " a@x.com",
    "a b@x.com",
    "a@b@c.com",
    "a@x\uff0ecom",
    "\uff41@x.com",
    "a@x.com\r\nBcc: b@y.com",
    "a@b.example, c@d.example",
    "Ann <a@b.com>",
    '"a b"@x.com',
    "a@[192.0.2.1]",
    "x" * 65 + "@x.com",
    "a@x_y.com",
    "a",
    "",
]
TAKEN = ["ada@example.net", "o'brien+bills@x.ie", "A@X.COM", "ü@bücher.example", "ops@pbx.local"]


def check(client: Client) -> None:
    problems = Refusals()
    check_client(client, "UTC", problems)
    problems.check()


@pytest.mark.parametrize("text", REFUSED)
def test_an_invalid_address_is_rejected_by_the_api_with_the_reason(text: str) -> None:
    assert not is_mail_address(text)
    with pytest.raises(BadInput, match="one address such as") as refused:
        check(Client(first_name="Ann", email=text))
    assert str(refused.value).startswith("email: got")


@pytest.mark.parametrize("text", TAKEN)
def test_an_address_in_use_is_taken_as_it_is(text: str) -> None:
    assert check_mail_address(text) == text
    check(Client(first_name="Ann", email=text))


def test_a_client_who_wants_no_mail_needs_no_address() -> None:
    check(Client(first_name="Ann", email="", wants_mail=False))


@given(text=st.one_of(st.text(), st.emails(), st.from_regex(r"\A[^@]{1,90}@[^@]{1,90}\Z")))
def test_an_accepted_address_is_one_line_and_valid_in_a_header(text: str) -> None:
    if is_mail_address(text):
        assert text.isprintable()
        local, _, host = text.rpartition("@")
        assert str(Address("", local, host.encode("idna").decode())).count("@") == 1
