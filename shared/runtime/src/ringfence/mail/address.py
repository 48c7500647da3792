"""One rule for mail addresses: what is entered is checked by it, and so is what is mailed to.

The form is email-validator's (RFC 5321 and 6531, without its obsolete parts). Whether the domain
exists is not asked: that would make an entry depend on a name server.
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
    """`text` as it is, if one mail can be sent to it. Raises BadInput that says what is wrong.

    Blanks around it are not part of an address, and neither is a name before it.
    """
    problem = _problem(text)
    if problem:
        raise BadInput(field, text, f"{EXPECTED}: {problem}")
    return text


def is_mail_address(text: str) -> bool:
    """Whether one mail can be sent to `text`, in a form that no header or command can break."""
    return not _problem(text)


def _problem(text: str) -> str:
    try:
        found = validate_email(
            text, check_deliverability=False, globally_deliverable=False, strict=True
        )
    except EmailNotValidError as error:
        return str(error).rstrip(".")
    # A look-alike (a wide letter, an ideographic full stop) would become another address later.
    if unicodedata.normalize("NFKC", text) != text:
        return f"it is written unusually; write {found.normalized}"
    return ""
