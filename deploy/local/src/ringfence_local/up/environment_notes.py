"""Describes which RINGFENCE_* variables replace embedded servers, and which are ignored."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

_KAFKA, _POSTGRES = "RINGFENCE_KAFKA_BOOTSTRAP", "RINGFENCE_POSTGRES_DSN"
_PLAYED = {
    "RINGFENCE_SERVERS_FILE": "simulated PBXs",
    "RINGFENCE_NOTIFIER_SMTP_HOST": "a mail server that keeps every mail here",
}
"""What `make run` simulates, so that it ignores these variables."""


def kafka_line(environment: Mapping[str, str], bootstrap: str) -> str:
    """The address of the Kafka in use and where it comes from."""
    named = environment.get(_KAFKA)
    return f"{named} (from {_KAFKA})" if named else f"{bootstrap} (embedded)"


def postgres_line(environment: Mapping[str, str], dsn: str) -> str:
    """The address of the PostgreSQL in use, without password, and where it comes from."""
    named = environment.get(_POSTGRES)
    place = without_password(named or dsn)
    return f"{place} (from {_POSTGRES})" if named else f"{place} (embedded)"


def environment_notes(environment: Mapping[str, str]) -> Iterator[str]:
    """The lines about the environment that `make run` prints before it starts anything."""
    if environment.get(_KAFKA):
        yield f"Kafka: {kafka_line(environment, '')}, not the embedded one."
    if environment.get(_POSTGRES):
        yield (
            f"PostgreSQL: {postgres_line(environment, '')}, not the embedded one:"
            " sample clients are written there."
        )
    for variable, what in _PLAYED.items():
        if environment.get(variable):
            yield f"{variable} is not used: this start has {what}. For your own: ringfence up"


def without_password(dsn: str) -> str:
    """Host, port and database of a URL; a fixed text for any other kind of DSN."""
    parts = urlsplit(dsn)
    if not parts.scheme.startswith("postgres"):
        return "(a connection string)"
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
