"""Every consumer accepts every published example, on a real database, and rejects garbage."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from accounts.confirmations import Confirmations
from accounts.store import AccountStore as AccountsStore
from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from notifier.operator.channel_intake import ChannelIntake
from notifier.operator.chat import Chat
from notifier.operator.events import CHANNEL_READS
from notifier.operator.store_channels import ChannelStore
from notifier.operator.webhooks import Webhook
from notifier.owed.decision import DecisionRules
from notifier.owed.intake import READS, MailIntake
from notifier.service import renderer
from notifier.store import MailStore as NotifierStore
from notifier.template_files import load_catalogue, load_templates
from rating.service import Rating
from rating.store import RatingStore
from rating.unrated.rows import RowIntake
from rating.unrated.store_rows import QueuedRows
from ringfence.postgres.jobs import JobIntake, JobStore
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.events.tariff import RateRow, TariffPublished, rows_digest
from ringfence_contracts.examples import Example, examples_of, key_of
from ringfence_contracts.records import Headers, Outcome, Received
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ALL_TOPICS,
    CALL_UNCONFIRMED,
    OPERATOR_REQUESTED,
    PAYMENT_RECEIVED,
    TARIFF_PUBLISHED,
    Topic,
)
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import from_outgoing
from ringfence_testing.store_claims import insert_payments
from suspender.decider import Decider
from suspender.service import Suspender, limits_of
from suspender.settings import Settings as SuspenderSettings
from suspender.store import SuspenderStore

Handler = Callable[[Sequence[Received]], Awaitable[Outcome]]
Build = Callable[[Pool], Handler]


def _rating(pool: Pool) -> Handler:
    """The handler of calls and money, of operators' requests, or of unconfirmed rows."""
    rating = Rating(store=RatingStore(pool), clock=FixedClock(), retry_unrated_s=900)
    jobs = JobIntake(
        JobStore(pool, "rating"), service="rating", commands=("verify",), clock=FixedClock()
    )
    rows = RowIntake(QueuedRows(pool), FixedClock())

    async def handle(batch: Sequence[Received]) -> Outcome:
        requests = [r for r in batch if r.topic == OPERATOR_REQUESTED.name]
        listed = [r for r in batch if r.topic == CALL_UNCONFIRMED.name]
        outcome = await rating.handle([r for r in batch if r not in (*requests, *listed)])
        outcome.reject += (await jobs.handle(requests)).reject
        outcome.reject += (await rows.handle(listed)).reject
        return outcome

    return handle


def _cdr_ingest(pool: Pool) -> Handler:
    store, commands = JobStore(pool, "cdr_ingest"), ("doctor.examine",)
    return JobIntake(store, service="cdr-ingest", commands=commands, clock=FixedClock()).handle


def _balance_watch(pool: Pool) -> Handler:
    return BalanceWatch(store=WatchStore(pool)).handle


def _suspender(pool: Pool) -> Handler:
    decider = Decider(
        store=SuspenderStore(pool),
        clock=FixedClock(),
        limits=limits_of(SuspenderSettings()),
        woken=asyncio.Event(),
    )
    return Suspender(decider).handle


def _notifier(pool: Pool) -> Handler:
    """The handler of mails, or for the topics that it does not read, that of webhooks and chat."""
    mails = MailIntake(
        NotifierStore(pool),
        render=renderer(load_catalogue(None)),
        templates=load_templates(None),
        rules=DecisionRules(),
        operator_email="operator@example.com",
        clock=FixedClock(),
        wake=asyncio.Event(),
    )
    channels = ChannelIntake(
        ChannelStore(pool),
        webhooks=[Webhook("all", "https://example.net/", ("*",), b"a secret for tests")],
        chats=[Chat("chat", print)],
        severity="warning",
        group_s=60.0,
        clock=FixedClock(),
    )

    async def handle(batch: Sequence[Received]) -> Outcome:
        await channels.register()
        outcome = await channels.handle([r for r in batch if r.topic in CHANNEL_TOPICS])
        mailed = await mails.handle([r for r in batch if r.topic in MAIL_TOPICS])
        outcome.reject += mailed.reject
        return outcome

    return handle


CHANNEL_TOPICS = {topic.name for topic in CHANNEL_READS}
MAIL_TOPICS = {topic.name for topic in READS}


def _accounts(pool: Pool) -> Handler:
    return Confirmations(AccountsStore(pool, FixedClock())).handle


CONSUMERS: dict[str, Build] = {
    "cdr-ingest": _cdr_ingest,
    "rating": _rating,
    "balance-watch": _balance_watch,
    "suspender": _suspender,
    "notifier": _notifier,
    "accounts": _accounts,
}


@asynccontextmanager
async def consumer(name: str, dsn: str) -> AsyncIterator[Handler]:
    """The handler of a service, acting in the service's own role."""
    pool = await open_pool(dsn, service=name)
    try:
        yield CONSUMERS[name](pool)
    finally:
        await pool.close()


PAIRS = [(topic, reader) for topic in ALL_TOPICS for reader in topic.readers]
each_pair = pytest.mark.parametrize(
    ("topic", "reader"), PAIRS, ids=[f"{reader}-{topic.name}" for topic, reader in PAIRS]
)

TARIFF_ROWS: dict[int, list[RateRow]] = {
    1: [
        ("1204", "Canada Manitoba", "0.0125", 30, 6, 1),
        ("44", "United Kingdom", "0.02", 60, 60, 1),
        ("911", "Emergency", "0", 1, 1, 0),
    ],
    2: [("1800", "Toll free, “all”", "0", 1, 1, 1)],
}
"""The rows to which the examples of tariff.published.v1 refer, by version."""


def with_value(example: Example, value: bytes) -> Received:
    """The example's record with other bytes in it."""
    return from_outgoing(example.record())._replace(value=value)


async def what_must_stand(dsn: str) -> None:
    """Insert what exists before such events: rows of tariffs, clients, products and payments."""
    connection = await asyncpg.connect(dsn)
    try:
        for example in examples_of(TARIFF_PUBLISHED):
            event = example.event()
            assert isinstance(event, TariffPublished)
            await _tariff(connection, event)
        for example in examples_of(ACCOUNT_CHANGED):
            account = example.event()
            assert isinstance(account, AccountChanged)
            await _client(connection, account)
        payments = [example.event() for example in examples_of(PAYMENT_RECEIVED)]
        await insert_payments(connection, [p for p in payments if isinstance(p, PaymentReceived)])
    finally:
        await connection.close()


async def _tariff(connection: Any, event: TariffPublished) -> None:
    rows = TARIFF_ROWS[event.version_id]
    assert rows_digest(rows) == event.sha256, "the example's digest is not that of its rows"
    await connection.execute(
        "insert into accounts.tariff_version (version_id, tariff_id, name, currency,"
        " effective_from, rows, sha256, created_at, created_by) overriding system value"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, 'test')",
        event.version_id, event.tariff_id, event.name, event.currency, event.effective_from,
        event.rows, event.sha256, event.published_at,
    )  # fmt: skip
    await connection.executemany(
        "insert into accounts.tariff_rate values ($1, $2, $3, $4, $5, $6, $7)",
        [(event.version_id, *row) for row in rows],
    )


async def _client(connection: Any, account: AccountChanged) -> None:
    await connection.execute(
        "insert into accounts.account (account_id, version, currency, time_zone, client, profile,"
        " changed_at) values ($1, $2, $3, $4, $5, $6, $7)",
        account.account_id, account.version, account.currency, account.time_zone,
        account.client.model_dump_json(), account.profile.model_dump_json(), account.changed_at,
    )  # fmt: skip
    await connection.executemany(
        "insert into accounts.product (service_id, account_id, fields, service, changed_by,"
        " changed_at) values ($1, $2, '{}', $3, 'test', $4)",
        [_product(account, service) for service in account.services],
    )


def _product(account: AccountChanged, service: Service) -> tuple[object, ...]:
    bare = service.model_copy(update={"package": None})
    return service.service_id, account.account_id, bare.model_dump_json(), account.changed_at


def assert_published_by_contract(outcome: Outcome, writer: str) -> None:
    """Each event has a topic of the handler's service, fits its contract and has its key."""
    for published in outcome.publish:
        event = published.topic.data.model_validate_json(published.value)
        assert published.topic.writer == writer, f"{writer} publishes {published.topic.name}"
        assert published.source == writer
        assert published.key == key_of(published.topic, event)


def test_every_reader_has_a_handler_here() -> None:
    assert {reader for _, reader in PAIRS} == CONSUMERS.keys()


@each_pair
async def test_every_example_is_accepted(topic: Topic, reader: str, database: str) -> None:
    """One by one, then all again at once as after a crash: nothing is rejected or raises."""
    await what_must_stand(database)
    records = [from_outgoing(example.record()) for example in examples_of(topic)]
    async with consumer(reader, database) as handle:
        for batch in [[record] for record in records] + [records]:
            outcome = await handle(batch)
            assert [dead.reason for dead in outcome.reject] == []
            assert_published_by_contract(outcome, reader)


@each_pair
async def test_fields_of_a_later_version_are_ignored(
    topic: Topic, reader: str, database: str
) -> None:
    """Contracts grow: an unknown field must not change anything for a reader."""
    await what_must_stand(database)
    async with consumer(reader, database) as handle:
        for example in examples_of(topic):
            grown = json.dumps(_grown(example.document)).encode()
            outcome = await handle([with_value(example, grown)])
            assert [dead.reason for dead in outcome.reject] == []
            assert_published_by_contract(outcome, reader)


FREE_MAPS = {"arguments"}
"""Objects whose names the sender chooses: an unknown field cannot be added to them."""


def _grown(part: Any) -> Any:
    """A document with an unknown field in each of its objects."""
    if isinstance(part, dict):
        grown = {n: inner if n in FREE_MAPS else _grown(inner) for n, inner in part.items()}
        return {**grown, "from_later": [{"a": 1}]}
    return [_grown(inner) for inner in part] if isinstance(part, list) else part


def garbage(example: Example) -> dict[str, bytes]:
    """Invalid values, made from a valid one."""
    required = example.topic.data.model_json_schema()["required"]
    lacking = {n: v for n, v in example.document.items() if n != required[-1]}
    values = {
        "cut short": example.value[: len(example.value) // 2],
        "empty": b"",
        "no JSON": b"\x00\xff\xfe<html>",
        "an array": b"[1, 2, 3]",
        "null": b"null",
        "no fields": b"{}",
        "a field is missing": json.dumps(lacking).encode(),
        "texts as lists": _set_all(example, _is_text, []),
        "NUL in texts": _set_all(example, _is_text, "a\x00b"),
        "half a character": example.value.replace(b'"20', b'"\xc3\x28', 1),
        "deep": b"[" * 100_000,
        "deep in an unknown field": b'{"later": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    }
    if any(map(_is_number, example.document.values())):
        values["numbers as words"] = _set_all(example, _is_number, "many")
        values["numbers beyond all bounds"] = _set_all(example, _is_number, 10**30)
    return values


def _set_all(example: Example, wanted: Callable[[Any], bool], value: Any) -> bytes:
    document = {n: value if wanted(v) else v for n, v in example.document.items()}
    return json.dumps(document).encode()


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


@each_pair
async def test_garbage_is_rejected_with_its_reason_and_the_next_record_is_accepted(
    topic: Topic, reader: str, database: str
) -> None:
    await what_must_stand(database)
    example = examples_of(topic)[-1]
    good = from_outgoing(example.record())._replace(offset=99)
    async with consumer(reader, database) as handle:
        for what, value in garbage(example).items():
            bad = with_value(example, value)
            outcome = await handle([bad, good])
            assert [dead.received for dead in outcome.reject] == [bad], what
            assert 0 < len(outcome.reject[0].reason) < 2000, what
            assert_published_by_contract(outcome, reader)


@each_pair
async def test_unreadable_headers_do_no_harm(topic: Topic, reader: str, database: str) -> None:
    """Without `ce_id` a record is taken, or rejected with its reason; nothing crashes."""
    await what_must_stand(database)
    record = from_outgoing(examples_of(topic)[-1].record())
    broken: list[Headers] = [
        (),
        (("ce_id", b"7"),),
        (("ce_id", b"\xff\x00"), ("ce_correlationid", b"\xff\x00")),
        (("ce_id", None), ("ce_correlationid", None)),
        (*record.headers, ("anything", None)),
    ]
    async with consumer(reader, database) as handle:
        for offset, headers in enumerate(broken):
            outcome = await handle([record._replace(headers=headers, offset=offset)])
            assert all(dead.reason for dead in outcome.reject)
