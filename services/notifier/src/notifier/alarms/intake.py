"""Consumes alarms: each is mailed to the operator when it is raised and when it ends.

A burst of alarms becomes few mails: unsent alarms of one kind share one mail, and two mails of one
kind are at least `group_s` apart.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from notifier.alarm_mail import TEMPLATE_OF, AlarmState, kind_of, render_alarms
from notifier.alarms import store as alarm_store
from notifier.form.layout import Layout
from notifier.form.mail import RenderedMail
from notifier.owed import store as owed_store
from notifier.owed.decision import Drop, MailDecision, Send
from notifier.owed.notice import MailNotice
from notifier.sending.reporting import report_decision
from notifier.store import MailStore
from notifier.template import Rendered
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.errors import Conflict
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Received, parse

_JOINED_WITHIN = timedelta(hours=1)
"""An unsent mail that is older takes no more alarms: it is given up a day after its first alarm."""


class AlarmIntake:
    """Queues mails about alarms to the operator. Idempotent."""

    def __init__(
        self,
        store: MailStore,
        *,
        operator_email: str,
        group_s: float,
        clock: Clock,
        layout: Layout | None = None,
        zone: str = "UTC",
    ) -> None:
        self._store = store
        self._layout = layout
        self._zone = zone
        self._operator_email = operator_email
        self._group = timedelta(seconds=group_s)
        self._clock = clock

    async def process(self, received: Received) -> None:
        """Add or change the mail about an alarm. Raises Reject, or Conflict for a known alarm id
        with another kind or subject.
        """
        alarm = parse(Alarm, received)
        async with self._store.handling_alarms(kind_of(alarm)) as connection:
            if await alarm_store.add_alarm(connection, alarm):
                if alarm.state == "raised":
                    await self._mail(connection, alarm, "raised")
                return
            known = await alarm_store.find_alarm(connection, alarm.alarm_id)
            if (kind_of(known.alarm), known.alarm.subject) != (kind_of(alarm), alarm.subject):
                raise Conflict(
                    f"alarm {alarm.alarm_id} is known as {kind_of(known.alarm)}"
                    f" {known.alarm.subject!r}, not as {kind_of(alarm)} {alarm.subject!r}"
                )
            if alarm.state == "ended" and known.alarm.state == "raised":
                await self._end(connection, alarm, known)

    async def _end(
        self, connection: Connection, ended: Alarm, known: alarm_store.KnownAlarm
    ) -> None:
        await alarm_store.end_alarm(connection, ended)
        mail_id = known.raised_in
        assert mail_id is not None, "an alarm that was consumed as raised has a mail"
        state = await alarm_store.lock_mail(connection, mail_id)
        if state != "waiting":
            skip = "the beginning of this alarm was not mailed" if state == "dropped" else ""
            await self._mail(connection, ended, "ended", skip=skip)
            return
        await alarm_store.put_into_mail(connection, ended.alarm_id, "raised", None)
        await self._rewrite(connection, mail_id, "raised")

    async def _mail(
        self, connection: Connection, alarm: Alarm, state: AlarmState, *, skip: str = ""
    ) -> None:
        """Add the alarm to the unsent mail of its kind, or to a new one."""
        if not self._operator_email:
            skip = "no operator address is set"
        since = self._clock.now() - _JOINED_WITHIN
        joined = (
            None
            if skip
            else await alarm_store.unsent_mail(connection, kind_of(alarm), state, since)
        )
        mail_id = joined or await self._add(connection, alarm, state, skip)
        await alarm_store.put_into_mail(connection, alarm.alarm_id, state, mail_id)
        if joined:
            await self._rewrite(connection, joined, state)

    async def _rewrite(self, connection: Connection, mail_id: UUID, state: AlarmState) -> None:
        """Render an unsent mail again with its current alarms; drop it if it has none."""
        alarms, count = await alarm_store.alarms_in(connection, mail_id, state)
        if alarms:
            content = await self._render(connection, alarms, count, state)
            await alarm_store.rewrite_mail(connection, mail_id, state, content)
        else:
            await alarm_store.drop_mail(connection, mail_id)

    async def _render(
        self, connection: Connection, alarms: Sequence[Alarm], count: int, state: AlarmState
    ) -> Rendered:
        names = await alarm_store.names_of(connection, alarms)
        return render_alarms(
            alarms, count, state, names=names, layout=self._layout, zone=self._zone
        )

    async def _add(
        self, connection: Connection, alarm: Alarm, state: AlarmState, skip: str
    ) -> UUID:
        """Add a new mail, due now or when the last one of its kind is `group_s` old."""
        now, kind = self._clock.now(), kind_of(alarm)
        last = await alarm_store.last_mail_at(connection, kind, state, now)
        content, notice = await self._render(connection, [alarm], 1, state), _notice(alarm, state)
        await owed_store.add(
            connection,
            notice,
            now,
            due_at=max(now, last + self._group) if last else now,
            content=RenderedMail(content.subject, content.text, content.html),
            recipient=self._operator_email,
            alarm_kind=kind,
        )
        outcome: MailDecision = Drop(skip) if skip else Send()
        if skip:
            await owed_store.drop(connection, notice.message_id, skip)
        report_decision(notice, outcome)
        return notice.message_id


def _notice(alarm: Alarm, state: AlarmState) -> MailNotice:
    return MailNotice(
        message_id=derive("mail", "alarm", alarm.alarm_id, state),
        account_id=alarm.account_id,
        kind="alarm",
        template=TEMPLATE_OF[state],
        cause_id=alarm.alarm_id,
        funds=None,
        occurred_at=alarm.ended_at or alarm.raised_at,
        correlation_id=str(alarm.alarm_id),
    )
