"""What an owner declares for anti-entropy, when it publishes again, and the texts of its alarms."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple, Protocol

from ringfence.postgres.pool import Connection
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import Topic

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FULL_AT = time(3, 0)
"""When everything is compared, each night, in UTC."""

ALARMED_AFTER = 3
"""What was published again so many times and is still missing raises an alarm."""

_WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=1),
)
_NAMED = 5
_PAYMENTS = (
    "Payments: ringfence payments unclaimed lists them, ringfence payments claim --from-topic"
    " --reason WHY enters them. The runbook restore-from-backup has the rest."
)


class MissingCopy(NamedTuple):
    """What a reader lacks: the owner's key (such as an account) and its version there.

    `version` is 0 for facts, which have none. `at` is when the owner wrote it.
    """

    key: str
    version: int
    at: datetime


class CopyCheck(Protocol):
    """The comparison of what one owner publishes with what one reader of it holds."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics by which the reader gets it; the first one names the comparison."""
        ...

    @property
    def reader(self) -> str:
        """The service, which is also the name of its consumer group."""
        ...

    @property
    def horizon(self) -> timedelta | None:
        """How far back a full comparison goes; None: to the beginning."""
        ...

    async def missing(
        self, connection: Connection, since: datetime, until: datetime, limit: int
    ) -> Sequence[MissingCopy]:
        """What was written after `since` and not after `until`, and the reader lacks.

        What is noted as missing already is left out.
        """
        ...

    async def still_missing(
        self, connection: Connection, keys: Sequence[str]
    ) -> Sequence[MissingCopy]:
        """Which of these keys the reader still lacks, in the version of now."""
        ...

    async def events(
        self, connection: Connection, copies: Sequence[MissingCopy]
    ) -> Sequence[Outgoing]:
        """The events to publish again: facts as they were, states as they are now."""
        ...


class Continuation(Protocol):
    """How an owner of versions finds that it was restored, and continues above its readers."""

    @property
    def numbers(self) -> Mapping[Topic, "NumberOf"]:
        """Its topics, each with what finds key and version in the payload of a record."""
        ...

    def in_words(self, raised: int) -> str:
        """What was done for so many keys, for the alarm."""
        ...

    async def ahead(self, connection: Connection) -> Mapping[str, int]:
        """The keys whose version at a reader is above the owner's, with the reader's version."""
        ...

    async def continue_above(
        self, connection: Connection, numbers: Mapping[str, int], now: datetime
    ) -> "Continued":
        """Raise the versions of these keys above the given ones, and publish the state of now.

        In the caller's transaction. Keys that are above already stay as they are.
        """
        ...


NumberOf = Callable[[Mapping[str, Any]], tuple[str, int]]
"""Finds the key and the version in a payload. Raises KeyError where it has none."""


def number_in(field: str) -> NumberOf:
    """The version of an account in this field."""
    return lambda data: (data["account_id"], data[field])


class Continued(NamedTuple):
    """The keys that were raised, and those that the owner does not have at all."""

    raised: Sequence[str] = ()
    unknown: Sequence[str] = ()


def versions_in_words(raised: int) -> str:
    """What an owner of versions did for so many accounts."""
    return f"{raised} accounts continue above the versions that were published before"


def pair_name(check: CopyCheck) -> str:
    """The name of a comparison: `<topic>/<reader>`."""
    return f"{check.topics[0].name}/{check.reader}"


def wait_after(attempts: int) -> timedelta:
    """How long to wait after the attempt of this number (from 1) before the next one."""
    return _WAITS[min(attempts, len(_WAITS)) - 1]


def is_full_due(full_at: datetime | None, now: datetime) -> bool:
    """Whether a full comparison is due: never made, or not since the last FULL_AT."""
    last = datetime.combine(now.date(), FULL_AT, UTC)
    if last > now:
        last -= timedelta(days=1)
    return full_at is None or full_at < last


def undelivered_alarm(check: CopyCheck, keys: Sequence[str]) -> AlarmText:
    """The alarm for what stays missing although it was published again."""
    topic, reader = check.topics[0].name, check.reader
    return AlarmText(
        message=f"{len(keys)} records of {topic} were published again {ALARMED_AFTER} times, and"
        f" {reader} still does not have them: {_named(keys)}.",
        what_to_do=f"See whether {reader} rejected them: ringfence dead list --consumer {reader}"
        " shows the reasons; ringfence dead retry handles one again when its reason is removed.",
        severity="critical",
    )


def restored_alarm(
    service: str, continued: Continued, found_in: str, what_was_done: str
) -> AlarmText:
    """The alarm of an owner that found a later state of its own than its database holds."""
    lost = ""
    if continued.unknown:
        lost = f" It does not know {len(continued.unknown)} of them: {_named(continued.unknown)}."
    return AlarmText(
        message=f"The database of {service} is older than {found_in}: it was restored from a"
        f" backup. {what_was_done}.{lost}",
        what_to_do=f"Enter again what was changed since the backup. {_PAYMENTS}",
        severity="critical",
    )


def set_back_alarm(service: str, topics: Sequence[str], again: int, gone: int) -> AlarmText:
    """The alarm of a service whose database is behind what it had read from its topics.

    `again` records are read again; `gone` ones are no longer on the topics.
    """
    lost = (
        f" {gone} more are no longer there: the topics are kept for a shorter time." if gone else ""
    )
    return AlarmText(
        message=f"The database of {service} came back as it was earlier: {again} records of"
        f" {', '.join(topics)} that it had read are read again, and each counts once.{lost}",
        what_to_do="Find out why the database was set back. Enter again what was changed in"
        f" between. {_PAYMENTS}",
        severity="critical",
    )


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more
