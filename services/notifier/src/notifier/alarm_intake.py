"""Takes alarms in: each is mailed to the operator when it begins and when it ends.

A burst becomes few mails: what waits unsent for one kind of alarm is one mail, and two mails of
one kind are `group_s` apart.
"""

from datetime import timedelta
from uuid import UUID

from notifier import store_alarms
from notifier.alarm_mail import TEMPLATE_OF, AlarmState, alarm_words, kind_of
from notifier.journal import report_added
from notifier.notice import Message, Notice
from notifier.store import Store
from ringfence.clock import Clock
from ringfence.errors import Conflict
from ringfence.events.alarm import Alarm
from ringfence.ids import derive
from ringfence.kafka.records import Received, parse
from ringfence.postgres.pool import Connection

_JOINED_WITHIN = timedelta(hours=1)
"""A mail that waits for longer takes no more alarms: it is given up a day after its first one."""


class AlarmIntake:
    """Turns alarms into mails to the operator. Safe to call again with the same."""

    def __init__(self, store: Store, *, operator_email: str, group_s: float, clock: Clock) -> None:
        self._store = store
        self._operator_email = operator_email
        self._group = timedelta(seconds=group_s)
        self._clock = clock

    async def take(self, received: Received) -> None:
        """Write or change the mail that an alarm calls for. Raises Reject, or Conflict."""
        alarm = parse(Alarm, received)
        async with self._store.handling_alarms(kind_of(alarm)) as connection:
            if await store_alarms.add_alarm(connection, alarm):
                if alarm.state == "raised":
                    await self._mail(connection, alarm, "raised")
                return
            known = await store_alarms.find_alarm(connection, alarm.alarm_id)
            if (kind_of(known.alarm), known.alarm.subject) != (kind_of(alarm), alarm.subject):
                raise Conflict(
                    f"alarm {alarm.alarm_id} is known as {kind_of(known.alarm)}"
                    f" {known.alarm.subject!r}, not as {kind_of(alarm)} {alarm.subject!r}"
                )
            if alarm.state == "ended" and known.alarm.state == "raised":
                await self._end(connection, alarm, known)

    async def _end(
        self, connection: Connection, ended: Alarm, known: store_alarms.KnownAlarm
    ) -> None:
        await store_alarms.end_alarm(connection, ended)
        mail_id = known.raised_in
        assert mail_id is not None, "an alarm that was read before its end has a mail"
        state = await store_alarms.lock_mail(connection, mail_id)
        if state != "pending":
            skip = "the beginning of this alarm was not mailed" if state == "skipped" else ""
            await self._mail(connection, ended, "ended", skip=skip)
            return
        await store_alarms.put_into_mail(connection, ended.alarm_id, "raised", None)
        await self._rewrite(connection, mail_id, "raised")

    async def _mail(
        self, connection: Connection, alarm: Alarm, state: AlarmState, *, skip: str = ""
    ) -> None:
        """Put the alarm into the mail that waits for others of its kind, or into a new one."""
        if not self._operator_email:
            skip = "no operator address is set"
        since = self._clock.now() - _JOINED_WITHIN
        joined = (
            None
            if skip
            else await store_alarms.unsent_mail(connection, kind_of(alarm), state, since)
        )
        mail_id = joined or await self._add(connection, alarm, state, skip)
        await store_alarms.put_into_mail(connection, alarm.alarm_id, state, mail_id)
        if joined:
            await self._rewrite(connection, joined, state)

    async def _rewrite(self, connection: Connection, mail_id: UUID, state: AlarmState) -> None:
        """Say in an unsent mail what it is about now; nothing any more: it is set aside."""
        alarms, count = await store_alarms.alarms_in(connection, mail_id, state)
        if alarms:
            words = alarm_words(alarms, count, state)
            await store_alarms.rewrite_mail(connection, mail_id, state, words)
        else:
            await store_alarms.supersede_mail(connection, mail_id)

    async def _add(
        self, connection: Connection, alarm: Alarm, state: AlarmState, skip: str
    ) -> UUID:
        """A new mail, at once, or when the last one of its kind is `group_s` old."""
        now, kind = self._clock.now(), kind_of(alarm)
        last = await store_alarms.last_mail_at(connection, kind, state, now)
        words = alarm_words([alarm], 1, state)
        message = Message(
            _notice(alarm, state),
            "skipped" if skip else "pending",
            self._operator_email,
            words.subject,
            words.text,
            words.html,
            reason=skip,
        )
        due_at = max(now, last + self._group) if last else now
        await self._store.add(connection, message, now, due_at=due_at, alarm_kind=kind)
        report_added(message)
        return message.notice.message_id


def _notice(alarm: Alarm, state: AlarmState) -> Notice:
    return Notice(
        message_id=derive("mail", "alarm", alarm.alarm_id, state),
        account_id=alarm.account_id,
        template=TEMPLATE_OF[state],
        cause_id=alarm.alarm_id,
        funds=None,
        crossing=None,
        occurred_at=alarm.ended_at or alarm.raised_at,
        correlation_id=str(alarm.alarm_id),
    )
