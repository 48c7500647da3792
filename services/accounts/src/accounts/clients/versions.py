"""`If-Match` and `ETag`: a change for a given version of a client. Pure."""

import re

from accounts.clients.account import Account
from accounts.refusals import Stale
from ringfence_contracts.errors import BadInput

_TAG = re.compile(r'(?:W/)?"(\d{1,15})"|(\d{1,15})', re.ASCII)


def etag(version: int) -> str:
    """The header `ETag` of a client's version."""
    return f'"{version}"'


def read_if_match(header: str | None) -> frozenset[int] | None:
    """The versions that `If-Match` names; None where it is missing or `*`: any version.

    Raises BadInput for a header that names no version.
    """
    if header is None or header.strip() == "*":
        return None
    found = [_TAG.fullmatch(part.strip()) for part in header.split(",")]
    if not all(found):
        raise BadInput("If-Match", header, 'the version that you read, such as "5"')
    return frozenset(int(match[1] or match[2]) for match in found if match)


def check_version(account: Account | None, expected: frozenset[int] | None) -> None:
    """Raises Stale when the client is at none of the `expected` versions."""
    if expected is None or (account is not None and account.version in expected):
        return
    raise Stale(sorted(expected), account.version if account else None)
