"""Makes results safe to store and to show: without secrets, and as text that can be stored.

The checks name no secret. But a server may repeat one in its answer, or answer with characters
that no database stores and no terminal shows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel

from ringfence_contracts.errors import BadInput
from ringfence_doctor.check_result import CheckResult
from ringfence_pbx.servers import AnyServer, SecretRef

MAX_CHARACTERS = 2000
"""The longest message, so that a server's answer cannot fill a table."""

_SHORTEST_SECRET = 4
"""A shorter text would be found in ordinary words."""


def presentable(results: Iterable[CheckResult], secrets: Iterable[str]) -> list[CheckResult]:
    """The results without any of the secrets, unprintable characters or endless texts."""
    hidden = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def clean(text: str) -> str:
        for secret in hidden:
            text = text.replace(secret, "***")
        text = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
        return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"

    return [
        replace(
            result,
            subject=clean(result.subject),
            message=clean(result.message),
            action=clean(result.action),
        )
        for result in results
    ]


def secrets_of(servers: Mapping[str, AnyServer]) -> Iterator[str]:
    """Every secret that the servers' entries refer to, if it can be read."""
    for server in servers.values():
        for reference in _references(server):
            try:
                value = reference.read().get_secret_value()
            except (BadInput, OSError, UnicodeError):
                continue  # a check reports it
            yield value
            yield from passwords_of(value)
        for url in _urls(server):
            yield from passwords_of(url)


def passwords_of(url: str) -> Iterator[str]:
    """The passwords in a URL, as written and decoded; none in any other text."""
    try:
        parts = urlsplit(url)
        written = parts.password or ""
    except ValueError:
        return
    yield from filter(
        None, (written, unquote(written), dict(parse_qsl(parts.query)).get("password"))
    )


def _urls(part: object) -> Iterator[str]:
    """The URLs in an entry and in its parts: a password may be in each."""
    if isinstance(part, str) and "://" in part:
        yield part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _urls(getattr(part, name))
    elif isinstance(part, tuple | list):
        for each in part:
            yield from _urls(each)


def _references(part: object) -> Iterator[SecretRef]:
    """The references to secrets in an entry and in its parts."""
    if isinstance(part, SecretRef):
        yield part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _references(getattr(part, name))
    elif isinstance(part, tuple | list):
        for each in part:
            yield from _references(each)
