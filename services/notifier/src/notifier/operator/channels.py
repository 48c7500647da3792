"""The loops of the operator's channels, by the settings; none if no channel is configured."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp

from notifier.operator.channel_intake import ChannelIntake
from notifier.operator.chat import Chat, notify, open_chats
from notifier.operator.delivery_loop import DeliveryLoop, PruneLoop, SendDelivery
from notifier.operator.digest_loop import DigestLoop
from notifier.operator.events import CHANNEL_READS
from notifier.operator.settings import OperatorSettings
from notifier.operator.store_channels import ChannelStore, Delivery
from notifier.operator.webhooks import DeliveryResult, Webhook, post
from notifier.sending.server_alarms import ALARMS
from ringfence.clock import Clock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.loops import Loop
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool

GROUP = "notifier-channels"


@asynccontextmanager
async def channel_loops(
    settings: OperatorSettings, pool: Pool, publisher: Publisher, health: Health, clock: Clock
) -> AsyncIterator[list[Loop]]:
    """The consumer, a loop for each webhook and chat, and the pruner."""
    webhooks, chats = settings.webhooks(), open_chats(settings.chat_urls())
    if not webhooks and not chats:
        yield []
        return
    store = ChannelStore(pool)
    intake = ChannelIntake(
        store,
        webhooks=webhooks,
        chats=chats,
        severity=settings.notifier_chat_severity,
        group_s=60.0,
        clock=clock,
    )
    await intake.register()
    failures = keep_failures(pool, ALARMS, group=GROUP, progress=health.loop("channel-failures"))
    runner = BatchRunner(
        RecordProcessor(intake.handle, publisher, consumer="notifier", failures=failures),
        CHANNEL_READS,
        bootstrap=settings.brokers(),
        group=GROUP,
        progress=health.loop("channels"),
        max_records=500,
    )
    pruner = PruneLoop(
        store, days=settings.notifier_delivery_days, clock=clock, progress=health.loop("prune")
    )
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        deliveries = _deliveries(store, webhooks, chats, http, clock, health)
        yield [runner.run, failures.run, pruner.run, *deliveries]


def _deliveries(
    store: ChannelStore,
    webhooks: Sequence[Webhook],
    chats: Sequence[Chat],
    http: aiohttp.ClientSession,
    clock: Clock,
    health: Health,
) -> list[Loop]:
    sends: list[tuple[str, str, SendDelivery]] = [
        *(("webhook", webhook.name, _to_webhook(http, webhook)) for webhook in webhooks),
        *(("chat", chat.name, _to_chat(chat)) for chat in chats),
    ]
    return [
        DeliveryLoop(
            store,
            kind="webhook" if kind == "webhook" else "chat",
            channel=name,
            send=send,
            clock=clock,
            progress=health.loop(f"{kind}-{name}", stall_s=120.0),
        ).run
        for kind, name, send in sends
    ]


def _to_webhook(http: aiohttp.ClientSession, webhook: Webhook) -> SendDelivery:
    async def send(delivery: Delivery, now: datetime) -> DeliveryResult:
        return await post(http, webhook, delivery.delivery_id, delivery.body, now)

    return send


def _to_chat(chat: Chat) -> SendDelivery:
    async def send(delivery: Delivery, _: datetime) -> DeliveryResult:
        return await notify(chat, delivery.body)

    return send


def digest_loops(
    settings: OperatorSettings,
    pool: Pool,
    health: Health,
    *,
    recipient: str,
    clock: Clock,
    wake: asyncio.Event,
) -> list[Loop]:
    """The loop of the daily digest, if its time and the operator's address are configured."""
    at = settings.digest_at()
    if at is None or not recipient:
        return []
    digest = DigestLoop(
        pool,
        recipient=recipient,
        at=at,
        zone=settings.notifier_operator_time_zone,
        language=settings.notifier_language,
        layout=settings.layout(),
        clock=clock,
        wake=wake,
        progress=health.loop("digest"),
    )
    return [digest.run]
