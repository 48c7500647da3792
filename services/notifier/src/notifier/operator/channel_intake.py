"""Consumes events for webhooks and chat: each becomes a delivery for each subscribed channel.

It reads in a consumer group of its own, so that a slow or failing channel does not delay mails.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from notifier.alarm_mail import AlarmState, kind_of
from notifier.operator.chat import Chat, render_chat
from notifier.operator.events import ChannelEvent, read_event
from notifier.operator.store_channels import ChannelKind, ChannelStore, NewDelivery
from notifier.operator.webhooks import Webhook
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.alarm import Alarm, Severity
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Received, Rejected
from ringfence_contracts.topics import SERVICE_SUSPENSION_FAILED

_RAISED, _ENDED = "alarm.raised", "alarm.ended"


class ChannelIntake:
    """The record handler: adds deliveries. Idempotent."""

    def __init__(
        self,
        store: ChannelStore,
        *,
        webhooks: Sequence[Webhook],
        chats: Sequence[Chat],
        severity: Severity,
        group_s: float,
        clock: Clock,
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._chats = chats
        self._severity = severity
        self._group = timedelta(seconds=group_s)
        self._clock = clock
        self._since: dict[ChannelKind, dict[str, datetime]] = {}

    async def register(self) -> None:
        """Save the channels: a new one gets no event from before its registration."""
        now = self._clock.now()
        names: dict[ChannelKind, list[str]] = {
            "webhook": [webhook.name for webhook in self._webhooks],
            "chat": [chat.name for chat in self._chats],
        }
        for kind, known in names.items():
            await self._store.register(kind, known, now)
            self._since[kind] = await self._store.since(kind)

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Add the deliveries of each event.

        An invalid record is rejected once for the service: by MailIntake if that consumes the topic
        too, else here.
        """
        outcome = Outcome()
        for received in batch:
            try:
                event = read_event(received)
            except Reject as error:
                if received.topic == SERVICE_SUSPENSION_FAILED.name:
                    outcome.reject.append(Rejected(received, str(error)))
                continue
            await self._for_webhooks(event)
            if event.alarm is not None:
                await self._for_chats(event, event.alarm)
        return outcome

    async def _for_webhooks(self, event: ChannelEvent) -> None:
        wanted = [
            webhook.name
            for webhook in self._webhooks
            if webhook.wants(event.type) and self._is_new(event, "webhook", webhook.name)
        ]
        if not wanted:
            return
        body, now = event.body(), self._clock.now()
        async with self._store.transaction() as connection:
            for name in wanted:
                delivery = _delivery(event, "webhook", name, event.subject, body, {})
                await self._store.add(connection, delivery, now, now)

    def _is_new(self, event: ChannelEvent, kind: ChannelKind, name: str) -> bool:
        return event.occurred_at >= self._since[kind][name]

    async def _for_chats(self, event: ChannelEvent, alarm: Alarm) -> None:
        if self._severity == "critical" and alarm.severity != "critical":
            return
        for chat in self._chats:
            async with self._store.handling_chat(f"{chat.name} {kind_of(alarm)}") as connection:
                if event.type == _RAISED and self._is_new(event, "chat", chat.name):
                    await self._enter(connection, chat.name, event, alarm, "raised")
                elif event.type == _ENDED:
                    await self._end(connection, chat.name, event, alarm)

    async def _end(
        self, connection: Connection, chat: str, event: ChannelEvent, alarm: Alarm
    ) -> None:
        """Remove the alarm from its untried message, or add a message that it has ended."""
        kind, alarm_id = kind_of(alarm), str(alarm.alarm_id)
        waiting = await self._store.waiting_chat(connection, chat, _RAISED, kind)
        if waiting is not None and alarm_id in waiting.alarms:
            del waiting.alarms[alarm_id]
            if waiting.alarms:
                body = await self._render(connection, waiting.alarms, "raised")
                await self._store.rewrite_chat(
                    connection, waiting.delivery_id, body, waiting.alarms
                )
            else:
                await self._store.remove_chat(connection, waiting.delivery_id)
        elif await self._store.chat_state(connection, chat, _RAISED, kind, alarm_id):
            await self._enter(connection, chat, event, alarm, "ended")

    async def _enter(
        self,
        connection: Connection,
        chat: str,
        event: ChannelEvent,
        alarm: Alarm,
        state: AlarmState,
    ) -> None:
        """Add the alarm to the waiting message of its kind, or to a new one."""
        kind, alarm_id, store = kind_of(alarm), str(alarm.alarm_id), self._store
        if await store.chat_state(connection, chat, event.type, kind, alarm_id):
            return
        alarms = {alarm_id: alarm.model_dump(mode="json")}
        waiting = await store.waiting_chat(connection, chat, event.type, kind)
        if waiting is not None:
            together = waiting.alarms | alarms
            body = await self._render(connection, together, state)
            await store.rewrite_chat(connection, waiting.delivery_id, body, together)
            return
        now = self._clock.now()
        last = await store.last_chat_at(connection, chat, event.type, kind)
        body = await self._render(connection, alarms, state)
        due_at = max(now, last + self._group) if last else now
        delivery = _delivery(event, "chat", chat, kind, body, alarms)
        await store.add(connection, delivery, due_at, now)

    async def _render(
        self, connection: Connection, alarms: dict[str, Any], state: AlarmState
    ) -> str:
        read = [Alarm.model_validate(alarm) for alarm in alarms.values()]
        accounts = [alarm.account_id for alarm in read if alarm.account_id]
        return render_chat(read, state, await self._store.names(connection, accounts))


def _delivery(
    event: ChannelEvent,
    kind: ChannelKind,
    channel: str,
    subject: str,
    body: str,
    alarms: dict[str, Any],
) -> NewDelivery:
    return NewDelivery(
        delivery_id=derive("delivery", kind, channel, event.event_id),
        kind=kind,
        channel=channel,
        event_type=event.type,
        event_id=event.event_id,
        subject=subject,
        body=body,
        occurred_at=event.occurred_at,
        alarms=alarms,
    )
