"""Every topic: its name, its contract, its writer and its readers.

Names are `<entity>.<past-tense fact>.v<major>`; each topic has one writer. The topics on the
broker, the contract tests and the AsyncAPI document all follow this list.

Pure: without clock, socket, database or logger.
"""

from dataclasses import dataclass

from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import (
    BalanceChanged,
    BalanceLow,
    BalanceRestored,
    BalanceZero,
)
from ringfence_contracts.events.call import (
    CallCompleted,
    CallRated,
    CallUnconfirmed,
    CallUnrated,
)
from ringfence_contracts.events.model import EventData
from ringfence_contracts.events.notice import NoticeFailed, NoticeSent
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_contracts.events.source import SourceFailed, SourceGapFound, SourceRecovered
from ringfence_contracts.events.tariff import TariffPublished


@dataclass(frozen=True)
class Topic:
    """A topic; its name is also the `ce_type` of its events."""

    name: str
    data: type[EventData]
    writer: str
    readers: tuple[str, ...] = ()
    keyed_by: str = "account_id"
    compacted: bool = False

    def dead_letters(self, consumer: str) -> str:
        """The topic that takes what `consumer` rejects of this one."""
        return f"{self.name}.dlq.{consumer}"


CALL_COMPLETED = Topic(
    "call.completed.v1", CallCompleted, "cdr-ingest", ("rating",), keyed_by="server_id:tenant"
)
CALL_UNCONFIRMED = Topic(
    "call.unconfirmed.v1", CallUnconfirmed, "cdr-ingest", ("rating",), keyed_by="server_id:tenant"
)
CALL_RATED = Topic("call.rated.v1", CallRated, "rating")
CALL_UNRATED = Topic("call.unrated.v1", CallUnrated, "rating", keyed_by="server_id:tenant")
BALANCE_CHANGED = Topic("balance.changed.v1", BalanceChanged, "rating", ("balance-watch",))
PAYMENT_RECEIVED = Topic("payment.received.v1", PaymentReceived, "accounts", ("rating",))
ACCOUNT_CHANGED = Topic(
    "account.changed.v1",
    AccountChanged,
    "accounts",
    ("rating", "balance-watch", "suspender", "notifier"),
    compacted=True,
)
TARIFF_PUBLISHED = Topic(
    "tariff.published.v1", TariffPublished, "accounts", ("rating",), keyed_by="tariff_id"
)
BALANCE_LOW = Topic("balance.low.v1", BalanceLow, "balance-watch", ("notifier",))
BALANCE_ZERO = Topic("balance.zero.v1", BalanceZero, "balance-watch", ("suspender", "notifier"))
BALANCE_RESTORED = Topic(
    "balance.restored.v1", BalanceRestored, "balance-watch", ("suspender", "notifier")
)
SERVICE_SUSPENDED = Topic(
    "service.suspended.v1", ServiceSuspended, "suspender", ("notifier", "accounts")
)
SERVICE_RESTORED = Topic(
    "service.restored.v1", ServiceRestored, "suspender", ("notifier", "accounts")
)
SERVICE_SUSPENSION_FAILED = Topic(
    "service.suspension-failed.v1",
    ServiceSuspensionFailed,
    "suspender",
    ("accounts", "notifier"),
)
OPERATOR_REQUESTED = Topic(
    "operator.requested.v1",
    OperatorRequested,
    "accounts",
    ("suspender", "notifier", "rating", "cdr-ingest"),
    keyed_by="service",
)
RATING_ALARM = Topic("rating.alarm.v1", Alarm, "rating", ("notifier",), keyed_by="subject")
SUSPENDER_ALARM = Topic("suspender.alarm.v1", Alarm, "suspender", ("notifier",), keyed_by="subject")
NOTIFIER_ALARM = Topic("notifier.alarm.v1", Alarm, "notifier", ("notifier",), keyed_by="subject")
WATCH_ALARM = Topic(
    "balance-watch.alarm.v1", Alarm, "balance-watch", ("notifier",), keyed_by="subject"
)
ACCOUNTS_ALARM = Topic("accounts.alarm.v1", Alarm, "accounts", ("notifier",), keyed_by="subject")
INGEST_ALARM = Topic("cdr-ingest.alarm.v1", Alarm, "cdr-ingest", ("notifier",), keyed_by="subject")
NOTICE_SENT = Topic("notice.sent.v1", NoticeSent, "notifier")
NOTICE_FAILED = Topic("notice.failed.v1", NoticeFailed, "notifier")
SOURCE_FAILED = Topic("source.failed.v1", SourceFailed, "cdr-ingest", keyed_by="server_id:lane")
SOURCE_RECOVERED = Topic(
    "source.recovered.v1", SourceRecovered, "cdr-ingest", keyed_by="server_id:lane"
)
SOURCE_GAP_FOUND = Topic(
    "source.gap-found.v1", SourceGapFound, "cdr-ingest", keyed_by="server_id:lane"
)

ALL_TOPICS: tuple[Topic, ...] = (
    CALL_COMPLETED,
    CALL_UNCONFIRMED,
    CALL_RATED,
    CALL_UNRATED,
    BALANCE_CHANGED,
    PAYMENT_RECEIVED,
    ACCOUNT_CHANGED,
    TARIFF_PUBLISHED,
    BALANCE_LOW,
    BALANCE_ZERO,
    BALANCE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_RESTORED,
    SERVICE_SUSPENSION_FAILED,
    OPERATOR_REQUESTED,
    RATING_ALARM,
    SUSPENDER_ALARM,
    NOTIFIER_ALARM,
    WATCH_ALARM,
    ACCOUNTS_ALARM,
    INGEST_ALARM,
    NOTICE_SENT,
    NOTICE_FAILED,
    SOURCE_FAILED,
    SOURCE_RECOVERED,
    SOURCE_GAP_FOUND,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in ALL_TOPICS}
INGEST_DEAD_LETTERS = CALL_COMPLETED.dead_letters("cdr-ingest")
"""Dead letters of cdr-ingest: source rows that it cannot read, which never became an event."""

PARTITIONS = 12
"""Partitions of every topic: account-keyed ones must agree, so that a replica owns accounts."""


def dead_letter_topics() -> tuple[str, ...]:
    """Every dead-letter topic, of cdr-ingest and of each consumer."""
    consumers = [topic.dead_letters(reader) for topic in ALL_TOPICS for reader in topic.readers]
    return (INGEST_DEAD_LETTERS, *consumers)


DEAD_LETTER_BYTES = 2 * 1024 * 1024
"""The largest record of a dead-letter topic, twice that of the others: the whole record that was
rejected and the headers that say why fit into it."""

_DAY_MS = 24 * 3600 * 1000
RETENTION_MS = 30 * _DAY_MS
"""How long records are kept: long enough to check or replay the calls of a month."""

_FOR_EVER = (PAYMENT_RECEIVED, TARIFF_PUBLISHED)
"""Topics kept for ever: a ledger is rebuilt from these and the calls."""


FLUSHED = (
    PAYMENT_RECEIVED.name, ACCOUNT_CHANGED.name, BALANCE_LOW.name, BALANCE_ZERO.name,
    BALANCE_RESTORED.name,
)  # fmt: skip
"""Topics that a broker without copies writes to its disk before it acknowledges a record.

After a power cut the others are published again by their owners; these decide at once who is off.
"""


def topic_configs() -> dict[str, dict[str, str]]:
    """The configuration of each topic, by name, where it differs from the broker's defaults."""
    configs = {topic.name: {"retention.ms": str(RETENTION_MS)} for topic in ALL_TOPICS}
    configs |= {
        topic.name: {"cleanup.policy": "compact"} for topic in ALL_TOPICS if topic.compacted
    }
    configs |= {topic.name: {"retention.ms": "-1"} for topic in _FOR_EVER}
    dead = {"retention.ms": str(RETENTION_MS), "max.message.bytes": str(DEAD_LETTER_BYTES)}
    configs |= {name: dict(dead) for name in dead_letter_topics()}
    return configs


def retention(topic: str) -> str:
    """How long a topic's records stay, in words."""
    settings = topic_configs()[topic]
    if settings.get("cleanup.policy") == "compact":
        return "the latest of each key"
    kept_ms = int(settings["retention.ms"])
    return "for ever" if kept_ms < 0 else f"{kept_ms // _DAY_MS} days"
