"""The rule for mail addresses, used both when one is entered and when a mail is sent to it.

The form is that of email-validator (RFC 5321 and 6531, without their obsolete parts). It is not
checked whether the domain exists: an entry must not depend on a name server.
"""

import unicodedata

import email_validator
from email_validator import EmailNotValidError, validate_email

from ringfence_contracts.errors import BadInput

# Names of a company's own network: the library refuses them for sign-ups from the internet.
for _own in ("local", "localhost", "test"):
    if _own in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_own)

EXPECTED = "one address such as anna@example.com"


def check_mail_address(text: str, field: str = "email") -> str:
    """Return `text` if it is one mail address. Raises BadInput with the reason if it is not.

    An address has no blanks around it and no name before it.
    """
    problem = _problem(text)
    if problem:
        raise BadInput(field, text, f"{EXPECTED}: {problem}")
    return text


def is_mail_address(text: str) -> bool:
    """Whether `text` is one mail address that cannot inject a header or an SMTP command."""
    return not _problem(text)


def _problem(text: str) -> str:
    try:
        found = validate_email(
            text, check_deliverability=False, globally_deliverable=False, strict=True
        )
    except EmailNotValidError as error:
        return _reason(text, str(error))
    # A look-alike (a wide letter, an ideographic full stop) would become another address later.
    if unicodedata.normalize("NFKC", text) != text:
        return f"it is written unusually; write {found.normalized}"
    return ""


def _reason(text: str, refusal: str) -> str:
    """Why an address is not valid, in our words; `refusal` is the library's sentence."""
    if "@" not in text:
        return "it has no @"
    if any(char.isspace() for char in text):
        return "it has blanks"
    if "<" in text:
        return "write the address alone, without a name before it"
    if text.count("@") > 1:
        return "it has more than one @"
    if "after the @" in refusal or "domain" in refusal:
        return "what is after the @ is no domain name"
    return "what is before the @ is not valid"
