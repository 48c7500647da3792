"""Webhooks over real HTTP: signature, retries, one delivery per event; alarms to chat."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from notifier.operator.channel_intake import ChannelIntake
from notifier.operator.chat import Chat, notify, open_chats
from notifier.operator.delivery_loop import DeliveryLoop, DeliveryPolicy, PruneLoop
from notifier.operator.store_channels import ChannelKind, ChannelStore, Delivery
from notifier.operator.webhooks import DeliveryResult, Webhook, post
from ringfence.breaker import Breaker
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.model import EventData
from ringfence_contracts.events.service import ServiceSuspensionFailed
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Received
from ringfence_contracts.topics import (
    BALANCE_LOW,
    BALANCE_ZERO,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
    SUSPENDER_ALARM,
    Topic,
)
from ringfence_testing.clock import FixedClock
from ringfence_testing.wait import until
from tests.support.notifier import NOON, alarm, low, restored, suspended, zero

SECRET = b"a secret for tests, long enough"


@dataclass
class Receiver:
    """An HTTP server that stores the requests and replies with configured statuses."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        status = self.answers.pop(0) if self.answers else 204
        headers = {"Location": self.url} if status == 302 else {}
        return web.Response(status=status, headers=headers, text="so" if status != 204 else None)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}/hook"
    try:
        yield found
    finally:
        await runner.cleanup()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    found = await open_pool(database, service="notifier")
    try:
        yield found
    finally:
        await found.close()


def record(topic: Topic, data: EventData, event_id: UUID | None = None) -> Received:
    found = event_id or derive("test event", topic.name, data.to_json().hex())
    headers = (("ce_id", str(found).encode()),)
    return Received(topic.name, 0, 0, b"1042", data.to_json(), headers)


class Desk:
    """The channels with one database; tests pass the events directly."""

    def __init__(
        self,
        pool: Pool,
        *,
        webhooks: Sequence[Webhook] = (),
        chats: Sequence[Chat] = (),
        severity: Any = "warning",
    ) -> None:
        self.pool, self.clock = pool, FixedClock(NOON)
        self.store = ChannelStore(pool)
        self.intake = ChannelIntake(
            self.store,
            webhooks=webhooks,
            chats=chats,
            severity=severity,
            group_s=60,
            clock=self.clock,
        )

    async def give(self, *records: Received) -> None:
        outcome = await self.intake.handle(records)
        assert outcome.reject == []

    def loop(
        self, kind: ChannelKind, channel: str, send: Any, breaker: Breaker | None = None
    ) -> DeliveryLoop:
        return DeliveryLoop(
            self.store,
            kind=kind,
            channel=channel,
            send=send,
            clock=self.clock,
            progress=Health().loop(channel),
            policy=DeliveryPolicy(give_up_after_s=3600),
            breaker=breaker or Breaker(after=1000, rest_s=1),
        )

    async def log(self) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("select * from report.webhook_delivery order by occurred_at")
        return [dict(row) for row in rows]


@asynccontextmanager
async def desk_with(pool: Pool, **channels: Any) -> AsyncIterator[Desk]:
    desk = Desk(pool, **channels)
    await desk.intake.register()
    yield desk


def hook(receiver: Receiver, *events: str, name: str = "crm") -> Webhook:
    return Webhook(name, receiver.url, events or ("*",), SECRET)


@asynccontextmanager
async def sender(webhook: Webhook) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def send(delivery: Delivery, now: datetime) -> DeliveryResult:
            return await post(http, webhook, delivery.delivery_id, delivery.body, now)

        yield send


def signature_of(headers: dict[str, str], body: bytes) -> str:
    """The signature as a receiver computes it (docs/webhooks.md)."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()


async def test_a_delivery_is_signed_and_a_changed_body_does_not_verify(
    pool: Pool, receiver: Receiver
) -> None:
    webhook = hook(receiver)
    async with desk_with(pool, webhooks=[webhook]) as desk, sender(webhook) as send:
        await desk.give(record(BALANCE_ZERO, zero(3)))
        assert await desk.loop("webhook", "crm", send).deliver_one()
        (headers, body), *more = receiver.requests
        assert more == []
        assert headers["webhook-signature"] == signature_of(headers, body)
        assert headers["webhook-signature"] != signature_of(headers, body + b" ")
        later = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
        assert headers["webhook-signature"] != signature_of(later, body)
        event = json.loads(body)
        assert (event["type"], event["data"]["crossing"]) == ("balance.zero", 3)
        assert event["time"] == "2026-01-15T12:00:00Z"
        assert SECRET.decode() not in body.decode()
        assert [row["state"] for row in await desk.log()] == ["delivered"]


async def test_a_failed_delivery_is_retried_with_the_same_id_and_logged(
    pool: Pool, receiver: Receiver
) -> None:
    webhook = hook(receiver)
    receiver.answers = [500, 302, 404]
    async with desk_with(pool, webhooks=[webhook]) as desk, sender(webhook) as send:
        loop = desk.loop("webhook", "crm", send)
        await desk.give(record(BALANCE_LOW, low(1)))
        for delay_s, status in ((5, 500), (10, 302), (20, 404)):
            assert await loop.deliver_one()
            (row,) = await desk.log()
            assert (row["state"], row["last_status"]) == ("waiting", status)
            assert row["last_error"] == f"answered {status}: so"
            assert row["next_attempt_at"] == desk.clock.now() + timedelta(seconds=delay_s)
            assert not await loop.deliver_one(), "it is not due yet"
            desk.clock.move(seconds=delay_s)
        assert await loop.deliver_one()
        (row,) = await desk.log()
        assert (row["state"], row["attempts"]) == ("delivered", 4)
        assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
        assert len({body for _, body in receiver.requests}) == 1


async def test_a_delivery_is_given_up_after_a_day_or_at_once_on_410(
    pool: Pool, receiver: Receiver
) -> None:
    webhook = hook(receiver)
    async with desk_with(pool, webhooks=[webhook]) as desk, sender(webhook) as send:
        loop = desk.loop("webhook", "crm", send)
        receiver.answers = [410]
        await desk.give(record(BALANCE_LOW, low(1)))
        assert await loop.deliver_one()
        assert [row["state"] for row in await desk.log()] == ["failed"]
        receiver.answers = [503] * 100
        await desk.give(record(BALANCE_LOW, low(2, occurred_at=NOON + timedelta(seconds=1))))
        while await loop.deliver_one():
            desk.clock.move(seconds=3600)
        failed = (await desk.log())[1]
        assert (failed["state"], failed["last_status"]) == ("failed", 503)


async def test_an_unreachable_receiver_does_not_delay_another(
    pool: Pool, receiver: Receiver
) -> None:
    gone = Webhook("gone", "http://127.0.0.1:1/", ("*",), SECRET)
    there = hook(receiver, name="there")
    async with (
        desk_with(pool, webhooks=[gone, there]) as desk,
        sender(gone) as to_gone,
        sender(there) as to_there,
    ):
        await desk.give(record(BALANCE_LOW, low(1)), record(BALANCE_LOW, low(2)))
        breaker = Breaker(after=1, rest_s=3600)
        broken = desk.loop("webhook", "gone", to_gone, breaker)
        assert await broken.deliver_one()
        assert not await broken.deliver_one(), "the breaker is open"
        working = desk.loop("webhook", "there", to_there)
        assert await working.deliver_one()
        assert await working.deliver_one()
        states = {(row["webhook"], row["state"]) for row in await desk.log()}
        assert states == {("gone", "waiting"), ("there", "delivered")}


async def test_a_killed_senders_claim_expires(pool: Pool, receiver: Receiver) -> None:
    webhook = hook(receiver)
    async with desk_with(pool, webhooks=[webhook]) as desk, sender(webhook) as send:
        await desk.give(record(BALANCE_LOW, low(1)))
        lease = timedelta(seconds=60)
        claimed = await desk.store.claim("webhook", "crm", desk.clock.now(), lease)
        assert claimed is not None
        loop = desk.loop("webhook", "crm", send)
        assert not await loop.deliver_one()
        desk.clock.move(seconds=61)
        assert await loop.deliver_one()
        assert [headers["webhook-id"] for headers, _ in receiver.requests] == [
            str(claimed.delivery_id)
        ]


async def test_each_event_is_delivered_once_to_each_subscribed_webhook(
    pool: Pool, receiver: Receiver
) -> None:
    failed = ServiceSuspensionFailed(
        account_id="1042",
        service_id="s-1",
        server_id="pbx-1",
        wanted="suspended",
        cause_id=UUID(int=1),
        reason="timed out",
        attempts=3,
        failed_at=NOON,
    )
    records = [
        record(BALANCE_LOW, low(1)),
        record(BALANCE_ZERO, zero(2)),
        record(SERVICE_SUSPENDED, suspended()),
        record(SERVICE_RESTORED, restored()),
        record(SERVICE_SUSPENSION_FAILED, failed),
        record(SUSPENDER_ALARM, alarm()),
        record(SUSPENDER_ALARM, alarm(state="ended")),
    ]
    wanted = {
        "all": ("*",),
        "money": ("balance.*",),
        "alarms": ("alarm.raised",),
    }
    webhooks = [hook(receiver, *events, name=name) for name, events in wanted.items()]
    async with desk_with(pool, webhooks=webhooks) as desk:
        await desk.give(*records)
        await desk.give(*records)
        found: dict[str, list[str]] = {}
        for row in await desk.log():
            found.setdefault(row["webhook"], []).append(row["event_type"])
        assert {name: sorted(types) for name, types in found.items()} == {
            "all": [
                "alarm.ended",
                "alarm.raised",
                "balance.low",
                "balance.zero",
                "service.restored",
                "service.suspended",
                "service.suspension-failed",
            ],
            "money": ["balance.low", "balance.zero"],
            "alarms": ["alarm.raised"],
        }


async def test_a_new_webhook_gets_no_earlier_event_and_garbage_is_ignored(
    pool: Pool, receiver: Receiver
) -> None:
    async with desk_with(pool, webhooks=[hook(receiver)]) as desk:
        early = low(1, occurred_at=NOON - timedelta(seconds=1))
        await desk.give(record(BALANCE_LOW, early))
        garbage = Received(BALANCE_LOW.name, 0, 0, b"x", b"{", (("ce_id", b"no"),))
        await desk.give(garbage, record(BALANCE_LOW, low(2)))
        assert [row["subject"] for row in await desk.log()] == ["1042"]


async def test_the_log_is_pruned_and_waiting_deliveries_stay(
    pool: Pool, receiver: Receiver
) -> None:
    webhook = hook(receiver)
    async with desk_with(pool, webhooks=[webhook]) as desk, sender(webhook) as send:
        await desk.give(record(BALANCE_LOW, low(1)))
        assert await desk.loop("webhook", "crm", send).deliver_one()
        await desk.give(record(BALANCE_LOW, low(2)))
        desk.clock.move(seconds=31 * 86_400)
        pruner = PruneLoop(desk.store, days=30, clock=desk.clock, progress=Health().loop("prune"))
        await pruner.prune_if_due()
        assert [row["state"] for row in await desk.log()] == ["waiting"]


def chat_to(receiver: Receiver) -> list[Chat]:
    """A channel of apprise that posts JSON to the receiver."""
    return open_chats([receiver.url.replace("http://", "json://")])


async def test_an_alarm_and_its_end_are_sent_to_chat_as_short_messages(
    pool: Pool, receiver: Receiver
) -> None:
    chats = chat_to(receiver)
    async with desk_with(pool, chats=chats) as desk:
        loop = desk.loop("chat", chats[0].name, lambda d, _: notify(chats[0], d.body))
        await desk.give(record(SUSPENDER_ALARM, alarm()))
        assert await loop.deliver_one()
        await desk.give(record(SUSPENDER_ALARM, alarm()))
        await desk.give(record(SUSPENDER_ALARM, alarm(state="ended")))
        assert await loop.deliver_one()
        assert not await loop.deliver_one()
        raised, ended = receiver.bodies
        assert raised["title"] == "Alarm: suspension-failed 1042/s-1"
        assert "could not be switched off: timed <out>" in raised["message"]
        assert "What to do: See why the PBX refuses" in raised["message"]
        assert ended["title"] == "Ended: suspension-failed 1042/s-1"


async def test_a_burst_of_alarms_is_one_message_without_those_that_ended(
    pool: Pool, receiver: Receiver
) -> None:
    chats = chat_to(receiver)
    async with desk_with(pool, chats=chats) as desk:
        loop = desk.loop("chat", chats[0].name, lambda d, _: notify(chats[0], d.body))
        burst = [record(SUSPENDER_ALARM, alarm(f"c{number}/s")) for number in range(40)]
        await desk.give(burst[0])
        assert await loop.deliver_one()
        await desk.give(*burst)
        await desk.give(record(SUSPENDER_ALARM, alarm("c1/s", "ended")))
        assert not await loop.deliver_one(), "two messages of one kind are a minute apart"
        desk.clock.move(seconds=60)
        assert await loop.deliver_one()
        assert not await loop.deliver_one()
        assert receiver.bodies[1]["title"] == "Alarm: suspension-failed (38 alarms)"
        assert "and 33 more" in receiver.bodies[1]["message"]


async def test_only_critical_alarms_go_to_chat_if_so_configured(
    pool: Pool, receiver: Receiver
) -> None:
    chats = chat_to(receiver)
    async with desk_with(pool, chats=chats, severity="critical") as desk:
        await desk.give(record(SUSPENDER_ALARM, alarm("a/s", severity="warning")))
        await desk.give(record(SUSPENDER_ALARM, alarm("b/s")))
        rows = await pool.fetch("select body from notifier.delivery")
        assert [row["body"].splitlines()[0] for row in rows] == ["Alarm: suspension-failed b/s"]


async def test_a_refused_chat_message_is_retried_and_no_secret_is_saved(
    pool: Pool, receiver: Receiver
) -> None:
    url = receiver.url.replace("http://", "json://user:a-secret-word@")
    chats = open_chats([url])
    receiver.answers = [500]
    async with desk_with(pool, chats=chats) as desk:
        loop = desk.loop("chat", chats[0].name, lambda d, _: notify(chats[0], d.body))
        await desk.give(record(SUSPENDER_ALARM, alarm()))
        assert await loop.deliver_one()
        (row,) = await pool.fetch("select * from report.chat_delivery")
        assert (row["state"], row["attempts"]) == ("waiting", 1)
        assert "a-secret-word" not in str(dict(row))
        desk.clock.move(seconds=5)
        assert await loop.deliver_one()
        assert await pool.fetchval("select state from report.chat_delivery") == "delivered"


async def test_a_loop_delivers_until_it_is_stopped(pool: Pool, receiver: Receiver) -> None:
    webhook, stop = hook(receiver), asyncio.Event()
    async with desk_with(pool, webhooks=[webhook]) as desk, sender(webhook) as send:
        running = asyncio.create_task(desk.loop("webhook", "crm", send).run(stop))
        await desk.give(record(BALANCE_LOW, low(1)), record(BALANCE_ZERO, zero(2)))
        await until(lambda: len(receiver.requests) == 2, timeout_s=20)
        stop.set()
        await running
