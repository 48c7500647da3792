"""The pages of topics, on a real broker, API and database."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from console.feed.tail import SHOWN
from console.feed.topics import GroupLag, TopicLooks
from ringfence.kafka.admin import create_topics
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Progress
from ringfence_contracts.examples import examples_of
from ringfence_contracts.records import Outcome, Received
from ringfence_contracts.schemas import schema_of
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ALL_TOPICS,
    BALANCE_LOW,
    CALL_RATED,
    NOTICE_SENT,
    PAYMENT_RECEIVED,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SOURCE_GAP_FOUND,
    Topic,
)
from ringfence_testing.wait import until
from tests.support.accounts import TOKEN, RunningApi, running_api
from tests.support.console import RunningConsole, running_console

AT_ONCE_S = 3.0
EVENT = re.compile(r'<details id="e\d+-\d+">(.*?)</details>', re.DOTALL)


@dataclass
class Desk:
    """An operator's browser, and a writer of topics."""

    console: RunningConsole
    api: RunningApi
    producer: AIOKafkaProducer

    async def write(self, topic: Topic, *values: bytes | None, key: bytes = b"anna") -> None:
        """Write records, one after the other."""
        for value in values:
            await self.producer.send_and_wait(topic.name, value, key=key)

    async def events(self, topic: Topic) -> list[str]:
        """The newest events as the page shows them."""
        return EVENT.findall(await self.console.page(f"/topics/{topic.name}"))

    async def seen(self, topic: Topic, *expected: GroupLag) -> None:
        """Wait until these are the readers of a topic, and how far they are."""

        def readers() -> bool:
            self.console.watch.ask()
            state = self.console.watch.states.get(topic.name)
            return state is not None and set(state.groups or ()) == set(expected)

        await until(readers, timeout_s=15)


@asynccontextmanager
async def looking(
    console: RunningConsole, bootstrap: str, progress: Progress
) -> AsyncIterator[None]:
    """Read the offsets in the background."""
    looks = asyncio.create_task(TopicLooks(bootstrap, console.watch, progress).run(console.stop))
    try:
        yield
        assert not looks.done(), "nothing ends it before the console"
    finally:
        console.stop.set()
        await asyncio.wait_for(looks, 20)


@pytest.fixture
async def desk(database: str, own_kafka_bootstrap: str) -> AsyncIterator[Desk]:
    bootstrap = own_kafka_bootstrap
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
        running_api(database) as api,
        running_console(api.url, bootstrap) as console,
        looking(console, bootstrap, Progress("topics")),
    ):
        assert (await console.login(TOKEN)).status_code == 303
        yield Desk(console, api, producer)


async def commit(bootstrap: str, group: str, topic: Topic, less: int = 0) -> None:
    """A group has read a topic, except the last `less` records of each partition."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group) as consumer:
        places = [TopicPartition(topic.name, n) for n in range(12)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.commit(
            {place: OffsetAndMetadata(max(0, end - less), "") for place, end in ends.items()}
        )


async def test_the_newest_events_are_shown_in_words_and_whole(desk: Desk) -> None:
    good = examples_of(CALL_RATED)[0].value
    await desk.write(CALL_RATED, *([good] * 30), key=b"bert")
    await desk.write(CALL_RATED, good, key=b"carla")
    events = await desk.events(CALL_RATED)
    assert len(events) == SHOWN
    assert "<strong>carla</strong>" in events[0], "the newest first"
    assert "<strong>bert</strong>" in events[1]
    cost = json.loads(good)["cost_micro"]
    assert f"&#34;cost_micro&#34;: {cost}" in events[0]
    assert "not decoded" not in events[0]
    number = json.loads(good)["number"]
    assert f"{number}, " in events[0].split("</summary>")[0], "in words, as on the first page"


async def test_a_record_that_cannot_be_decoded_is_shown_with_its_reason(desk: Desk) -> None:
    """Whatever bytes a record has, the page answers, and no part of them is markup."""
    bad = (
        b"\xff\xfe<script>alert(1)</script>",
        b'{"outcome": "<img src=x onerror=alert(1)>"}',
        b"[" * 100_000,
        b"",
        b'{"a": "\\ud800"}',
        b"[" * 800 + b"]" * 800,
        b'{"call_id": ' + b"9" * 5000 + b"}",
        None,
    )
    for value in bad:
        await desk.write(CALL_RATED, value, key=b"<b>evil</b>\xff")
    page = await desk.console.page(f"/topics/{CALL_RATED.name}")
    events = EVENT.findall(page)[: len(bad)][::-1]
    assert ["not decoded" in event for event in events] == [True] * len(bad)
    assert "it is not JSON" in events[0]
    assert "\\xff\\xfe&lt;script&gt;" in events[0]
    assert "is missing" in events[1], "the first field that is wrong"
    assert "&lt;img src=x" in events[1]
    assert "it is nested too deeply" in events[2]
    assert "it is not JSON" in events[3]
    assert "\\ud800" in events[4]
    assert "the record has no value" in events[7]
    assert "&lt;b&gt;evil&lt;/b&gt;\\xff" in events[0]
    assert ("<script>alert" in page, "<img" in page, "<b>" in page) == (False, False, False)


async def test_a_deletion_is_shown_as_what_it_is(desk: Desk) -> None:
    await desk.write(ACCOUNT_CHANGED, None)
    (event,) = await desk.events(ACCOUNT_CHANGED)
    assert '<span class="state">deleted</span>' in event
    assert "nothing of this key is kept" in event
    assert "not decoded" not in event


async def test_values_that_are_secret_are_hidden(desk: Desk) -> None:
    hidden = (
        b'{"note": "shown", "api_key": "s3cr3t", "x": [{"Password": {"y": "s3cr3t"}}]}',
        b'no json: shown, api_key=s3cr3t; "token": "s3cr3t tail", Authorization: Bearer s3cr3t',
    )
    await desk.write(PAYMENT_RECEIVED, *hidden)
    events = await desk.events(PAYMENT_RECEIVED)
    assert [event.count("shown") for event in events[:2]] == [1, 1]
    assert "s3cr3t" not in "".join(events)
    assert "tail" not in events[0]


async def test_records_rate_and_lag_of_each_reader_are_shown(
    desk: Desk, own_kafka_bootstrap: str
) -> None:
    """A reader of ours, one of another program, and one that has never committed."""
    event = examples_of(SERVICE_RESTORED)[0].value
    await desk.write(SERVICE_RESTORED, *([event] * 3))
    await commit(own_kafka_bootstrap, "notifier", SERVICE_RESTORED)
    await commit(own_kafka_bootstrap, "webshop", SERVICE_RESTORED, less=2)
    read, behind, never = (
        GroupLag("notifier", 0), GroupLag("webshop", 2), GroupLag("accounts", 3, never=True)
    )  # fmt: skip
    await desk.seen(SERVICE_RESTORED, read, behind, never)
    page = await desk.console.page("/topics")
    rows = {row.split('"')[0]: row for row in page.split('<a href="/topics/')[1:]}
    assert list(rows) == [topic.name for topic in ALL_TOPICS]
    row = rows[SERVICE_RESTORED.name]
    assert '<td class="number records">3</td>' in row
    assert re.search(r"notifier\s*</span>", row), "no number: it has read everything"
    assert re.search(r"webshop\s*<span[^>]*>2 behind", row)
    assert re.search(r"accounts\s*<span[^>]*>has never committed, 3 to read", row)
    assert "nothing to read yet" in rows[BALANCE_LOW.name], "there is none, and nobody committed"
    assert "third parties" in rows[NOTICE_SENT.name]

    await desk.write(SERVICE_RESTORED, event)
    watch = desk.console.watch
    await until(lambda: watch.states[SERVICE_RESTORED.name].per_minute or 0, timeout_s=15)
    state = await desk.console.page(f"/topics/{SERVICE_RESTORED.name}/part/state")
    assert "1 behind" in state
    assert "3 behind" in state
    assert "a minute" in state
    assert "<h1>" not in await desk.console.page("/topics/part/list")


async def test_a_service_by_faust_is_shown_as_far_as_it_has_committed(
    desk: Desk, own_kafka_bootstrap: str
) -> None:
    """It commits an offset with the first event that it handles, and none before."""
    topic = SERVICE_SUSPENDED
    event = examples_of(topic)[0].value
    await desk.seen(topic, GroupLag("accounts", 0, True), GroupLag("notifier", 0, True))
    await desk.write(topic, event)
    await desk.seen(topic, GroupLag("accounts", 1, True), GroupLag("notifier", 1, True))

    async def handle(batch: Sequence[Received]) -> Outcome:
        return Outcome()

    stop = asyncio.Event()
    async with open_publisher(own_kafka_bootstrap, source="test") as publisher:
        agents = GuardedAgents(
            RecordProcessor(handle, publisher, consumer="accounts"),
            (topic,),
            bootstrap=own_kafka_bootstrap,
            group="accounts",
            progress=Progress("agents"),
        )
        running = asyncio.create_task(agents.run(stop))
        try:
            await desk.seen(topic, GroupLag("accounts", 0), GroupLag("notifier", 1, True))
            await desk.write(topic, event)
            await desk.seen(topic, GroupLag("accounts", 0), GroupLag("notifier", 2, True))
        finally:
            stop.set()
            await running


async def test_the_contract_is_shown_for_every_topic(desk: Desk) -> None:
    for topic in ALL_TOPICS:
        page = unescape(await desk.console.page(f"/topics/{topic.name}"))
        for shown in (examples_of(topic)[0].document, schema_of(topic)):
            assert json.dumps(shown, indent=2, ensure_ascii=False) in page, topic.name
    page = await desk.console.page(f"/topics/{SOURCE_GAP_FOUND.name}")
    assert "No event is kept. The next one that cdr-ingest writes appears here." in page


async def test_only_an_operator_who_may_read_sees_topics(desk: Desk) -> None:
    paths = ("/topics", f"/topics/{CALL_RATED.name}", "/topics/part/list")
    for scopes, status in ((["money", "operate"], 403), (["read"], 200), (["admin"], 200)):
        body = {"operator": "petra", "scopes": scopes}
        answer = await desk.api.http.post("/v1/tokens", json=body)
        assert answer.status_code == 201, answer.text
        desk.console.http.cookies.clear()
        await desk.console.login(answer.json()["secret"])
        for path in (*paths, f"/topics/{CALL_RATED.name}/part/newest"):
            page = await desk.console.http.get(path)
            assert page.status_code == status, (scopes, path)
            assert ("need the scope read" in page.text) == (status == 403)
    assert (await desk.console.http.get("/topics/nothing.v1")).status_code == 404
    assert (await desk.console.http.get(f"/topics/{CALL_RATED.name}/part/x")).status_code == 404
    desk.console.http.cookies.clear()
    answer = await desk.console.http.get("/topics")
    assert answer.headers["location"] == "/login?next=/topics"


async def test_a_topic_that_is_not_on_the_brokers_is_named(
    desk: Desk, own_kafka_bootstrap: str
) -> None:
    """After an update, until `topics create` was run; it hides nothing of the others."""
    admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([NOTICE_SENT.name])

        def is_missed() -> bool:
            desk.console.watch.ask()
            state = desk.console.watch.states.get(NOTICE_SENT.name)
            return state is not None and state.partitions == 0

        await until(is_missed, timeout_s=20)
        page = await desk.console.page("/topics")
        assert page.count("not on the brokers") == 1
        assert "<code>ringfence topics create</code>" in page
        assert "No event is kept" in await desk.console.page(f"/topics/{NOTICE_SENT.name}")
        assert NOTICE_SENT.name not in await admin.list_topics(), "looking creates no topic"
    finally:
        await admin.close()
        await create_topics(own_kafka_bootstrap)


async def test_while_the_brokers_are_away_every_page_answers_at_once(
    desk: Desk, database: str, free_port: int
) -> None:
    """It says what to do, and shows what was known before. The console goes on."""
    away, progress = f"127.0.0.1:{free_port}", Progress("topics")
    await until(lambda: CALL_RATED.name in desk.console.watch.states, timeout_s=15)
    async with running_console(desk.api.url, away) as console, looking(console, away, progress):
        await console.login(TOKEN)
        console.watch.states = desk.console.watch.states
        console.watch.looked_at = time.monotonic() - 300
        await until(lambda: bool(console.watch.problem), timeout_s=10)
        began = time.monotonic()
        for path in ("/topics", f"/topics/{CALL_RATED.name}", "/topics/part/list"):
            page = await console.page(path)
            assert f"Kafka does not answer at {away}" in page, path
            assert "Start it, or correct RINGFENCE_KAFKA_BOOTSTRAP" in page
            assert "What is shown is of 5 min ago." in page
        assert "The events cannot be read now." in await console.page(f"/topics/{CALL_RATED.name}")
        assert "Who runs out first" in await console.page("/")
        assert time.monotonic() - began < AT_ONCE_S
        assert progress.problem() is None


async def test_brokers_that_never_answer_hold_up_neither_a_page_nor_the_end(desk: Desk) -> None:
    held: list[asyncio.StreamWriter] = []

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running_console(desk.api.url, address) as console:
            async with looking(console, address, Progress("topics")):
                await console.login(TOKEN)
                began = time.monotonic()
                page = await console.page(f"/topics/{CALL_RATED.name}")
                assert "The brokers are slow: the events are being read." in page
                assert "The brokers are being asked for the first time" in await console.page(
                    "/topics"
                )
                console.watch.problem = "They were away a moment ago."
                page = await console.page(f"/topics/{CALL_RATED.name}/part/newest")
                assert "The events cannot be read now. They were away a moment ago." in page
                began, took = time.monotonic(), time.monotonic() - began
            assert took < AT_ONCE_S
            assert time.monotonic() - began < AT_ONCE_S
        for writer in held:
            writer.close()


async def test_events_that_come_are_read_again_but_not_by_each_page(desk: Desk) -> None:
    """Many browsers that follow a busy topic cost as much as one."""
    topic = BALANCE_LOW
    event = examples_of(topic)[0].value
    await desk.write(topic, event, key=b"first")
    part = f"/topics/{topic.name}/part/newest"
    pages = await asyncio.gather(*(desk.console.page(part) for _ in range(20)))
    assert {page.count("<details") for page in pages} == {1}
    await desk.write(topic, event, key=b"second")

    async def is_shown() -> bool:
        return "<strong>second</strong>" in await desk.console.page(part)

    await until(is_shown, timeout_s=10)
