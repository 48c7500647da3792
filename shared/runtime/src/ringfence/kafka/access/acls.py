"""What each login may do on the brokers: only what its service does, by `topics`."""

from collections.abc import Iterator
from dataclasses import dataclass

from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ALL_TOPICS,
    BALANCE_CHANGED,
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    CALL_RATED,
    INGEST_DEAD_LETTERS,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
)

OPERATOR = "operator"
"""The login of `ringfence payments claim` and other commands that read topics."""

SETUP = "setup"
"""The login of `ringfence topics create`."""

CONSOLE = "console"
"""The login of the web pages, which show every topic and how far its readers are."""

_MORE_GROUPS = {"notifier": ("notifier-channels",), "rating": ("rating-jobs", "rating-rows")}
_MORE_READS = {
    "rating": (CALL_RATED, BALANCE_CHANGED),
    "accounts": (ACCOUNT_CHANGED,),
    "balance-watch": (BALANCE_LOW, BALANCE_ZERO, BALANCE_RESTORED),
    "suspender": (SERVICE_SUSPENDED, SERVICE_RESTORED),
}
"""What a service reads without being a reader by `topics`: its own states, to find that it was
restored (ADR 39); calls for `ringfence verify --replay`."""

_SET_BACK = ("rating",)
"""The groups that `ringfence restore` sets back."""

_INGEST = "cdr-ingest"


@dataclass(frozen=True)
class Access:
    """A login, the topics that it reads and writes, and its consumer groups.

    `describes`: topics whose existence it may see without reading them. `watches`: groups whose
    offsets it may see: those of the readers of its topics (ADR 39).
    """

    login: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    describes: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()


def accesses() -> list[Access]:
    """Every service's login, named as the service, and those that read all topics."""
    services = sorted(
        {topic.writer for topic in ALL_TOPICS} | {r for topic in ALL_TOPICS for r in topic.readers}
    )
    return [
        *map(_of_service, services),
        Access(OPERATOR, reads=("*",), groups=_SET_BACK),
        Access(CONSOLE, reads=("*",), watches=("*",)),
    ]


def _of_service(service: str) -> Access:
    more = _MORE_READS.get(service, ())
    read = [topic for topic in ALL_TOPICS if service in topic.readers or topic in more]
    written = [topic.name for topic in ALL_TOPICS if topic.writer == service]
    written += [topic.dead_letters(service) for topic in read if topic not in more]
    if service == _INGEST:
        written.append(INGEST_DEAD_LETTERS)
    groups = (service, *_MORE_GROUPS.get(service, ())) if read else ()
    # cdr-ingest examines the platform for `ringfence doctor`: whether every topic exists.
    describes = ("*",) if service == _INGEST else ()
    readers = {r for topic in ALL_TOPICS if topic.writer == service for r in topic.readers}
    return Access(
        service,
        tuple(topic.name for topic in read),
        tuple(written),
        groups,
        describes,
        tuple(sorted(readers - {service})),
    )


def commands(bootstrap: str, config: str) -> Iterator[str]:
    """Shell commands that grant all of it by kafka-acls.sh; idempotent.

    `config`: the file of that tool's settings, with the login of the brokers' administrator.
    """
    tool = f"kafka-acls.sh --bootstrap-server {bootstrap} --command-config {config} --add"
    for access in accesses():
        who = f"{tool} --allow-principal User:{access.login}"
        if access.reads:
            yield f"{who} --operation Read --operation Describe{_named('topic', access.reads)}"
        if access.writes:
            yield f"{who} --operation Write --operation Describe{_named('topic', access.writes)}"
        if access.groups:
            yield f"{who} --operation Read{_named('group', access.groups)}"
        if access.describes:
            yield f"{who} --operation Describe{_named('topic', access.describes)}"
        if access.watches:
            yield f"{who} --operation Describe{_named('group', access.watches)}"
    # To list the topics, and to create those that are missing.
    setup = f"{tool} --allow-principal User:{SETUP}"
    yield f"{setup} --operation Create --operation Describe --topic '*'"


def _named(option: str, names: tuple[str, ...]) -> str:
    return "".join(f" --{option} '{name}'" for name in names)
