"""Alarms: problems that need a person, raised once for each kind and subject until they end.

A change of an alarm is a row and an event in the outbox, both written in the caller's transaction.
Raising an alarm that is open changes nothing, so a loop may raise it at every turn.
"""

from datetime import datetime
from typing import Any, Literal

from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.alarm import Alarm, AlarmText
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import Topic

_MAX_TEXT = 1000


class Alarms:
    """The alarms of one service: its table `<schema>.alarm` and its topic."""

    def __init__(self, topic: Topic, *, schema: str) -> None:
        self._topic = topic
        self.schema = schema

    async def raise_alarm(
        self, connection: Connection, key: str, subject: str, text: AlarmText, now: datetime
    ) -> bool:
        """Raise the alarm unless it is open; returns whether it was raised now."""
        alarm_id = derive("alarm", self._topic.writer, key, subject, now.isoformat())
        row = await connection.fetchrow(
            f"insert into {self.schema}.alarm (alarm_id, key, subject, severity, message,"  # noqa: S608
            " what_to_do, account_id, raised_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"
            " on conflict (key, subject) where ended_at is null do nothing returning *",
            alarm_id,
            key,
            subject[:_MAX_TEXT],
            text.severity,
            text.message[:_MAX_TEXT],
            text.what_to_do[:_MAX_TEXT],
            text.account_id,
            now,
        )
        if row is None:
            return False
        await enqueue(connection, self.schema, [self._event(dict(row), "raised", now)])
        return True

    async def end_alarm(
        self, connection: Connection, key: str, subject: str, now: datetime
    ) -> bool:
        """End the alarm if it is open; returns whether it was."""
        row = await connection.fetchrow(
            f"update {self.schema}.alarm set ended_at = $3"  # noqa: S608 - a constant of the caller
            " where key = $1 and subject = $2 and ended_at is null returning *",
            key,
            subject[:_MAX_TEXT],
            now,
        )
        if row is None:
            return False
        await enqueue(connection, self.schema, [self._event(dict(row), "ended", now)])
        return True

    def _event(
        self, row: dict[str, Any], state: Literal["raised", "ended"], now: datetime
    ) -> Outgoing:
        alarm = Alarm(service=self._topic.writer, state=state, **row)
        return Outgoing(
            topic=self._topic,
            key=alarm.subject,
            value=alarm.to_json(),
            event_id=derive(self._topic.name, alarm.alarm_id, state),
            time=now,
            source=self._topic.writer,
            subject=f"{alarm.key}/{alarm.subject}",
            correlation_id=str(alarm.alarm_id),
        )
