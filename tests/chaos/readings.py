"""What is there after a scenario: rows, records of topics, the PBX's state, mails, logs.

It reads with SQL, a Kafka consumer and files of its own, and by no code of the product's checks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ALL_TOPICS,
    BALANCE_CHANGED,
    CALL_COMPLETED,
    CALL_RATED,
    PARTITIONS,
    PAYMENT_RECEIVED,
    dead_letter_topics,
)
from tests.chaos.town import ChaosTown

_QUERIES = {
    "ledger": "select account_id, version, entry_id::text, kind, amount_micro, balance_after_micro,"
    " cause_id::text, reverses::text, occurred_at, input_hash, explanation from rating.ledger"
    " order by account_id, version",
    "balances": "select account_id, balance_micro, version, settled from rating.account",
    "gaps": "select account_id, versions from rating.version_gap",
    "not_billed": "select call_id::text from rating.not_billed",
    "unrated": "select call_id::text, reason from rating.unrated",
    "dead": "select call_id::text, reason from rating.dead_call",
    "unclaimed": "select payment_id::text, reason from rating.unclaimed",
    "records": "select record_id::text, disposition, reason from cdr_ingest.record",
    "unconfirmed": "select count(*) as rows from report.unconfirmed_row",
    "payments": "select payment_id::text, account_id, idempotency_key, kind, amount_micro"
    " from accounts.payment",
    "owners": "select account_id, version, outstanding_micro, credit_limit_micro"
    " from accounts.account",
    "rating_profiles": "select account_id, version from rating.profile",
    "watched": "select account_id, profile_version, balance_version, balance_micro, held, holds,"
    " level, threshold_micro from balance_watch.account",
    "suspended": "select account_id, profile_version, held, hold, crossing from suspender.account",
    "notified": "select account_id, version from notifier.account",
    "crossings": "select account_id, topic, value from balance_watch.crossing",
    "services": "select account_id, service_id, wanted, confirmed, wanted_seq, confirmed_seq,"
    " last_error from suspender.service",
    "service_copies": "select account_id, service_id, suspended from accounts.service_state",
    "mails": "select message_id::text, account_id, kind, template, number, day, state, recipient,"
    " subject, last_error, shadow from notifier.message",
    "alarms": "select service, key, subject, severity, message, what_to_do from report.alarm",
    "outboxes": "select 'accounts' as schema, count(*) as rows from accounts.outbox union all"
    " select 'rating', count(*) from rating.outbox union all"
    " select 'suspender', count(*) from suspender.outbox union all"
    " select 'notifier', count(*) from notifier.outbox",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class InboxMail:
    """A mail that the mail server accepted."""

    recipient: str
    subject: str
    message_id: str


@dataclass
class TopicReadings:
    """The records of all topics."""

    rated: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    completed: Counter[str] = field(default_factory=Counter)
    balance_versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    account_versions: dict[str, int] = field(default_factory=dict)
    dead_letters: list[str] = field(default_factory=list)
    records: int = 0
    lost: int = 0
    """Records before the present beginnings of topics that are kept for ever or for a month."""


@dataclass
class Readings:
    """Everything that the check computes from."""

    tables: Mapping[str, Sequence[Any]]
    topics: TopicReadings
    gateways: dict[str, tuple[bool, bool]]
    """By uuid: the stored flag, and whether the switch has it."""

    inbox: list[InboxMail]
    leaks: list[str]
    """Where a secret was found."""


async def read_everything(town: ChaosTown) -> Readings:
    """Read all there is."""
    secrets = secrets_of(town.stack.folder)
    topics, leaks = await read_topics(town.stack.bootstrap, secrets)
    leaks += leaks_in_logs(town.stack.folder / "logs", secrets)
    state = await town.harness.door.pbx_state()
    return Readings(
        tables=await read_tables(town.stack.dsn),
        topics=topics,
        gateways={each["uuid"]: (each["enabled"], each["live"]) for each in state["gateways"]},
        inbox=[
            InboxMail(str(mail["To"]), str(mail["Subject"]), str(mail["Message-ID"]))
            for mail in town.stack.inbox.messages()
        ],
        leaks=leaks,
    )


async def read_tables(dsn: str) -> dict[str, Sequence[Any]]:
    """All tables in one snapshot."""
    connection = await asyncpg.connect(dsn, command_timeout=120)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {name: await connection.fetch(query) for name, query in _QUERIES.items()}
    finally:
        await connection.close()


async def read_ledger(dsn: str) -> dict[str, tuple[Any, ...]]:
    """The ledger's rows by entry id, to compare with later."""
    connection = await asyncpg.connect(dsn, command_timeout=120)
    try:
        rows = await connection.fetch(_QUERIES["ledger"])
    finally:
        await connection.close()
    return {row["entry_id"]: tuple(row) for row in rows}


async def read_topics(
    bootstrap: str, secrets: Mapping[str, bytes]
) -> tuple[TopicReadings, list[str]]:
    """All records of all topics, up to their ends now; and where one has a secret."""
    readings, leaks = TopicReadings(), []
    dead = set(dead_letter_topics())
    names = [topic.name for topic in ALL_TOPICS] + sorted(dead)
    async for record in _records(bootstrap, names, readings):
        readings.records += 1
        whole = b"\x00".join([record.key or b"", record.value or b"", *_header_bytes(record)])
        leaks += [f"{record.topic}: {name}" for name, secret in secrets.items() if secret in whole]
        if record.topic in dead:
            reason = dict(record.headers).get("dlq_reason", b"").decode(errors="replace")
            readings.dead_letters.append(f"{record.topic}: {reason}")
        elif record.value:
            _note(readings, record.topic, record.value)
    return readings, leaks


def _header_bytes(record: Any) -> list[bytes]:
    return [value for _, value in record.headers if value]


async def _records(bootstrap: str, names: Sequence[str], readings: TopicReadings) -> Any:
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(name, n) for name in names for n in range(PARTITIONS)]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        readings.lost = sum(begins[p] for p in partitions if p.topic != ACCOUNT_CHANGED.name)
        for partition in partitions:
            consumer.seek(partition, begins[partition])
        behind = [p for p in partitions if begins[p] < ends[p]]
        while behind:
            for batch in (await consumer.getmany(*behind, timeout_ms=1000)).values():
                for record in batch:
                    yield record
            behind = [p for p in behind if await consumer.position(p) < ends[p]]
    finally:
        await consumer.stop()


def _note(readings: TopicReadings, topic: str, value: bytes) -> None:
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        return  # poison, which a scenario has written
    if not isinstance(data, dict):
        return
    try:
        if topic == CALL_RATED.name:
            readings.rated.append(data)
        elif topic == PAYMENT_RECEIVED.name:
            readings.payments.append(data)
        elif topic == CALL_COMPLETED.name:
            readings.completed[data["call_id"]] += 1
        elif topic == BALANCE_CHANGED.name:
            version = (data["version"], data["balance_micro"])
            known = readings.balance_versions.get(data["account_id"], version)
            readings.balance_versions[data["account_id"]] = max(known, version)
        elif topic == ACCOUNT_CHANGED.name:
            known_version = readings.account_versions.get(data["account_id"], 0)
            readings.account_versions[data["account_id"]] = max(known_version, data["version"])
    except (KeyError, TypeError):
        return  # poison


def secrets_of(folder: Path) -> dict[str, bytes]:
    """The secrets of a stack, by the names of their files."""
    files = [*(folder / "secrets").rglob("*"), folder / "postgres" / "superuser-password"]
    found = {
        file.name if file.parent.name == "secrets" else f"{file.parent.name}/{file.name}":
        file.read_bytes().strip().rpartition(b":")[2]
        for file in files if file.is_file()
    }  # fmt: skip
    return {name: secret for name, secret in found.items() if len(secret) >= 16}


def leaks_in_logs(logs: Path, secrets: Mapping[str, bytes]) -> list[str]:
    """Which logs have a secret in them."""
    return [
        f"{log.name}: {name}"
        for log in sorted(logs.glob("*.log"))
        for name, secret in secrets.items()
        if any(secret in line for line in _lines(log))
    ]


def _lines(log: Path) -> Iterator[bytes]:
    with log.open("rb") as file:
        yield from file
