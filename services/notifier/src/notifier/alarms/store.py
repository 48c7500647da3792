"""The consumed alarms, and the mail that reports each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifier.alarm_mail import LISTED_AT_MOST, TEMPLATE_OF, AlarmState
from notifier.merge_fields import full_name
from notifier.owed.notice import MailState
from notifier.template import Rendered
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.alarm import Alarm

_ALARM = (
    "alarm_id, service, key, subject, severity, state, message, what_to_do, account_id,"
    " raised_at, ended_at"
)
_MAILED_IN: dict[AlarmState, str] = {"raised": "raised_in", "ended": "ended_in"}
_SINCE: dict[AlarmState, str] = {"raised": "raised_at", "ended": "ended_at"}


@dataclass(frozen=True)
class KnownAlarm:
    """A saved alarm; `raised_in` is the id of the mail that reports that it was raised."""

    alarm: Alarm
    raised_in: UUID | None


async def add_alarm(connection: Connection, alarm: Alarm) -> bool:
    """Save a new alarm; False if it is known."""
    return (
        await connection.fetchval(
            f"insert into notifier.known_alarm ({_ALARM})"  # noqa: S608 - this file's constant
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
            " on conflict (alarm_id) do nothing returning true",
            alarm.alarm_id,
            alarm.service,
            alarm.key,
            alarm.subject,
            alarm.severity,
            alarm.state,
            alarm.message,
            alarm.what_to_do,
            alarm.account_id,
            alarm.raised_at,
            alarm.ended_at,
        )
        is True
    )


async def find_alarm(connection: Connection, alarm_id: UUID) -> KnownAlarm:
    """An alarm that was added before."""
    row = await connection.fetchrow(
        f"select {_ALARM}, raised_in from notifier.known_alarm where alarm_id = $1",  # noqa: S608
        alarm_id,
    )
    assert row is not None, "alarms are never removed"
    return KnownAlarm(_as_alarm(row), row["raised_in"])


async def end_alarm(connection: Connection, alarm: Alarm) -> None:
    """Save that an alarm ended."""
    await connection.execute(
        "update notifier.known_alarm set state = 'ended', ended_at = $2 where alarm_id = $1",
        alarm.alarm_id,
        alarm.ended_at,
    )


async def unsent_mail(
    connection: Connection, kind: str, state: AlarmState, since: datetime
) -> UUID | None:
    """The newest unsent mail about alarms of this kind, locked; None if there is none.

    Excludes mails that were created before `since`, and one that is being offered to the SMTP
    server now, because its text can no longer be changed.
    """
    found: UUID | None = await connection.fetchval(
        "select message_id from notifier.message where alarm_kind = $1 and template = $2"
        " and state = 'waiting' and created_at >= $3"
        " order by created_at desc limit 1 for update skip locked",
        kind,
        TEMPLATE_OF[state],
        since,
    )
    return found


async def last_mail_at(
    connection: Connection, kind: str, state: AlarmState, now: datetime
) -> datetime | None:
    """When the last mail about alarms of this kind was sent or due; None if there was none."""
    last: datetime | None = await connection.fetchval(
        "select max(least(coalesce(offered_at, next_attempt_at), $3)) from notifier.message"
        " where alarm_kind = $1 and template = $2 and state <> 'dropped'",
        kind,
        TEMPLATE_OF[state],
        now,
    )
    return last


async def put_into_mail(
    connection: Connection, alarm_id: UUID, state: AlarmState, message_id: UUID | None
) -> None:
    """Save which mail reports that the alarm was raised or ended; None: no mail does."""
    await connection.execute(
        f"update notifier.known_alarm set {_MAILED_IN[state]} = $2 where alarm_id = $1",  # noqa: S608
        alarm_id,
        message_id,
    )


async def alarms_in(
    connection: Connection, message_id: UUID, state: AlarmState
) -> tuple[Sequence[Alarm], int]:
    """The alarms of a mail, oldest first, at most LISTED_AT_MOST, and the number of all."""
    rows = await connection.fetch(
        f"select {_ALARM}, count(*) over () as all_alarms from notifier.known_alarm"  # noqa: S608
        f" where {_MAILED_IN[state]} = $1 order by {_SINCE[state]}, alarm_id limit $2",
        message_id,
        LISTED_AT_MOST,
    )
    return [_as_alarm(row) for row in rows], rows[0]["all_alarms"] if rows else 0


async def rewrite_mail(
    connection: Connection, message_id: UUID, state: AlarmState, content: Rendered
) -> None:
    """Save new content of an unsent mail. It gets an account id if all its alarms share one."""
    await connection.execute(
        "update notifier.message set subject = $2, text_body = $3, html_body = $4,"  # noqa: S608
        " account_id = (select case when count(distinct coalesce(account_id, '')) = 1"
        f"  then max(account_id) end from notifier.known_alarm where {_MAILED_IN[state]} = $1)"
        " where message_id = $1",
        message_id,
        content.subject,
        content.text,
        content.html,
    )


async def names_of(connection: Connection, alarms: Sequence[Alarm]) -> dict[str, str]:
    """The names of the clients that alarms are about, by account."""
    rows = await connection.fetch(
        "select account_id, first_name, last_name, company_name from notifier.account"
        " where account_id = any($1)",
        list({alarm.account_id for alarm in alarms if alarm.account_id}),
    )
    return {row["account_id"]: full_name(*row[1:]) for row in rows}


async def lock_mail(connection: Connection, message_id: UUID) -> MailState:
    """The state of a mail; the row is locked if the state is `waiting`.

    Returns `sending` for a mail that is being offered to the SMTP server now.
    """
    if await connection.fetchval(
        "select true from notifier.message where message_id = $1 and state = 'waiting'"
        " for update skip locked",
        message_id,
    ):
        return "waiting"
    state: MailState = await connection.fetchval(
        "select state from notifier.message where message_id = $1", message_id
    )
    return "sending" if state == "waiting" else state


async def drop_mail(connection: Connection, message_id: UUID) -> None:
    """Drop an unsent mail whose alarms have all ended."""
    await connection.execute(
        "update notifier.message set state = 'dropped', last_error = $2, next_attempt_at = null"
        " where message_id = $1",
        message_id,
        "the alarm ended before this was sent",
    )


def _as_alarm(row: asyncpg.Record) -> Alarm:
    return Alarm.model_validate({name: row[name] for name in Alarm.model_fields})
