"""The queue as events change it: mails are added, decided again, dropped and renewed."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from notifier.form.mail import RenderedMail
from notifier.merge_fields import ClientFunds
from notifier.owed.decision import (
    BalanceWatchState,
    ConsumedState,
    DecisionFacts,
    Drop,
    MailDecision,
    SwitchOffState,
    Wait,
)
from notifier.owed.notice import PRIORITY, MailNotice
from notifier.owed.store_clients import ACCOUNT_COLUMNS, account_of
from notifier.store import OwedMail, as_owed
from ringfence.postgres.pool import Connection

_CLOCKS_DIFFER = timedelta(minutes=1)
_ADD = """
insert into notifier.message (message_id, account_id, kind, template, cause_id, state, recipient,
    subject, text_body, html_body, balance_micro, outstanding_micro, currency, crossing,
    occurred_at, next_attempt_at, created_at, due_at, last_error, correlation_id, shadow,
    alarm_kind, number, day, priority, balance_version, confirmed_off)
select $1, $2, $3, $4, $5, 'waiting', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, '',
    $17, $18, $19, $20, $21, $22, $23, $24
-- An earlier version derived the id of an alert from its event: the same alert is not added again.
where $3 <> 'low' or not exists (
    select from notifier.message where account_id = $2 and kind = 'low' and cause_id = $5
        and message_id <> $1 and day = $21
)
on conflict do nothing returning true
"""
_FACTS = f"""
select a.account_id is not null as is_known, {", ".join(f"a.{c}" for c in ACCOUNT_COLUMNS)},
    l.level as read_level, coalesce(l.crossing, 0) as crossing,
    coalesce(l.zero_crossing, 0) as zero_crossing, coalesce(l.hold, 0) as hold,
    coalesce(l.hold_ended, 0) as hold_ended, l.restored_at,
    w.account_id is not null and w.balance_version > 0 as is_watched, w.level as owner_level,
    w.balance_micro, w.outstanding_micro, w.currency as owner_currency, w.balance_version,
    w.hold as owner_hold, w.stays
from (select $1::text as account_id) asked
left join notifier.account a using (account_id)
left join notifier.level l using (account_id)
left join report.level w using (account_id)
"""  # noqa: S608 - this file's constants
_SWITCH_OFF = """
select case
    when bool_or(confirmed = 'suspended' and not open) then 'off'
    when bool_or(attempts > 0) then 'refused'
    else 'asked' end
from report.service_state
where account_id = $1 and live and wanted = 'suspended' and holds = '{funds}'
having count(*) > 0
"""


async def add(
    connection: Connection,
    notice: MailNotice,
    now: datetime,
    *,
    due_at: datetime | None = None,
    content: RenderedMail | None = None,
    recipient: str = "",
    alarm_kind: str | None = None,
) -> bool:
    """Add a mail, due now or at `due_at`; False if it was added before."""
    funds = notice.funds
    return (
        await connection.fetchval(
            _ADD,
            notice.message_id,
            notice.account_id,
            notice.kind,
            notice.template,
            notice.cause_id,
            recipient,
            content.subject if content else "",
            content.text if content else "",
            content.html if content else "",
            funds and funds.balance_micro,
            funds and funds.outstanding_micro,
            funds and funds.currency,
            notice.crossing,
            notice.occurred_at,
            due_at or now,
            now,
            notice.correlation_id,
            notice.would_be,
            alarm_kind,
            notice.number,
            notice.day,
            PRIORITY[notice.kind],
            notice.balance_version,
            notice.confirmed_off,
        )
        is True
    )


async def find(connection: Connection, message_id: UUID) -> OwedMail | None:
    """A mail by its id, locked; None if there is none."""
    row = await connection.fetchrow(
        "select * from notifier.message where message_id = $1 for update", message_id
    )
    return None if row is None else as_owed(row)


async def undecided(
    connection: Connection, account_id: str, gone_live_at: datetime | None = None
) -> list[OwedMail]:
    """The account's mails that wait or can be queued again, except those being offered; locked.

    `gone_live_at`: the client has just left shadow mode. Mails about later events that were dropped
    because the mode was not known here yet are then decided again. A low alert at that very instant
    was published because the client went live. Zero mails have the time of the suspender's clock,
    which may be behind.
    """
    rows = await connection.fetch(
        "select * from notifier.message where account_id = $1 and (state = 'waiting' or again)"
        " and (state = 'waiting' or not shadow or kind = 'low' and occurred_at >= $2"
        "  or kind = 'zero' and occurred_at >= $2 - $3::interval)"
        " order by created_at for update skip locked",
        account_id,
        gone_live_at,
        _CLOCKS_DIFFER,
    )
    return [as_owed(row) for row in rows]


async def apply(
    connection: Connection, owed: OwedMail, outcome: MailDecision, now: datetime
) -> None:
    """Save the decision about a mail that waits or was dropped."""
    if isinstance(outcome, Drop):
        await connection.execute(
            "update notifier.message set state = 'dropped', last_error = $2, shadow = $3,"
            " again = $4, waits_for = '', next_attempt_at = null where message_id = $1",
            owed.message_id,
            outcome.reason,
            outcome.shadow,
            outcome.again,
        )
    elif isinstance(outcome, Wait):
        await connection.execute(
            "update notifier.message set state = 'waiting', last_error = $2, waits_for = $2,"
            " next_attempt_at = $3, again = false where message_id = $1",
            owed.message_id,
            outcome.reason,
            outcome.until,
        )
    elif owed.state != "waiting" or owed.waits_for:
        await _make_due(connection, owed.message_id, now)


async def drop(connection: Connection, message_id: UUID, reason: str) -> None:
    """Drop a waiting mail; it is not queued again."""
    await connection.execute(
        "update notifier.message set state = 'dropped', last_error = $2, next_attempt_at = null"
        " where message_id = $1 and state = 'waiting'",
        message_id,
        reason,
    )


async def _make_due(connection: Connection, message_id: UUID, now: datetime) -> None:
    await connection.execute(
        "update notifier.message set state = 'waiting', last_error = '', waits_for = '',"
        " next_attempt_at = $2, due_at = $2, attempts = 0, again = false, shadow = false"
        " where message_id = $1",
        message_id,
        now,
    )


async def resend(connection: Connection, message_id: UUID, now: datetime) -> None:
    """Make a mail due again that is in doubt or has failed, and take it from its last sender."""
    await _make_due(connection, message_id, now)
    await connection.execute(
        "update notifier.message set lease = null where message_id = $1", message_id
    )


async def renew(connection: Connection, notice: MailNotice, now: datetime) -> OwedMail | None:
    """Queue a mail again with a newer event's data, if it waits for that event or was dropped.

    Returns the changed mail; None if it was sent, has failed, or has the data of that event or a
    newer one.
    """
    funds = notice.funds
    assert funds is not None, "mails to the operator are not renewed"
    row = await connection.fetchrow(
        "update notifier.message set cause_id = $2, balance_micro = $3, outstanding_micro = $4,"
        " currency = $5, occurred_at = $6, correlation_id = $7, attempts = 0,"
        " confirmed_off = true, created_at = case when state = 'dropped' then $8 else created_at"
        " end where message_id = $1 and (state = 'dropped' and occurred_at < $6"
        "  or state = 'waiting' and not confirmed_off) returning *",
        notice.message_id,
        notice.cause_id,
        funds.balance_micro,
        funds.outstanding_micro,
        funds.currency,
        notice.occurred_at,
        notice.correlation_id,
        now,
    )
    return None if row is None else as_owed(row)


async def gather(connection: Connection, notice: MailNotice, owed_since: datetime) -> DecisionFacts:
    """Read the input of a decision about this mail."""
    if notice.account_id is None or notice.kind in ("alarm", "digest"):
        return DecisionFacts(None)
    row = await connection.fetchrow(_FACTS, notice.account_id)
    assert row is not None, "the query always returns one row"
    return DecisionFacts(
        account=account_of(row) if row["is_known"] else None,
        consumed=ConsumedState(
            row["read_level"],
            row["crossing"],
            row["zero_crossing"],
            row["hold"],
            row["hold_ended"],
            row["restored_at"],
        ),
        balance_watch=_watched(row) if row["is_watched"] else None,
        switch_off=await _switch_off(connection, notice),
        low_sent_at=await _low_sent_at(connection, notice),
        zero_state=await _zero_state(connection, notice),
        owed_since=owed_since,
    )


def _watched(row: Any) -> BalanceWatchState:
    return BalanceWatchState(
        level=row["owner_level"],
        funds=ClientFunds(row["balance_micro"], row["outstanding_micro"], row["owner_currency"]),
        balance_version=row["balance_version"],
        hold=row["owner_hold"],
        stays=row["stays"],
    )


async def _switch_off(connection: Connection, notice: MailNotice) -> SwitchOffState:
    if notice.kind == "low":
        return "none"
    found: SwitchOffState | None = await connection.fetchval(_SWITCH_OFF, notice.account_id)
    return found or "none"


async def _low_sent_at(connection: Connection, notice: MailNotice) -> datetime | None:
    if notice.kind != "low":
        return None
    at: datetime | None = await connection.fetchval(
        "select max(offered_at) from notifier.message where account_id = $1 and kind = 'low'"
        " and offered_at is not null and state in ('sending', 'sent', 'in-doubt')"
        " and message_id <> $2",
        notice.account_id,
        notice.message_id,
    )
    return at


async def _zero_state(connection: Connection, notice: MailNotice) -> Any:
    if notice.kind != "restored":
        return None
    return await connection.fetchval(
        "select state from notifier.message where account_id = $1 and kind = 'zero'"
        " and number = $2 and not shadow",
        notice.account_id,
        notice.number,
    )


async def last_zero_mail(
    connection: Connection, account_id: str, before: datetime
) -> OwedMail | None:
    """The newest zero mail of the account that was or may have been sent, dated up to `before`."""
    row = await connection.fetchrow(
        "select * from notifier.message where account_id = $1 and kind = 'zero' and not shadow"
        " and number is not null and state in ('sending', 'sent', 'in-doubt')"
        " and occurred_at <= $2 order by number desc limit 1",
        account_id,
        before,
    )
    return None if row is None else as_owed(row)


async def mails_to_remind(
    connection: Connection, now: datetime, limit: int
) -> list[tuple[OwedMail, datetime]]:
    """Alerts whose stay still lasts and whose next daily reminder is due, with their send time."""
    rows = await connection.fetch(
        "select m.* from notifier.message m join notifier.level l using (account_id)"
        " where m.kind = 'low' and m.day = 0 and m.number is not null and not m.shadow"
        " and m.state in ('sent', 'in-doubt') and l.level = 'low' and l.crossing = m.crossing"
        " and m.offered_at <= $1::timestamptz - interval '1 day'"
        " and not exists (select from notifier.message r where r.account_id = m.account_id"
        "  and r.kind = 'low' and r.number = m.number and r.day >="
        "  floor(extract(epoch from $1::timestamptz - m.offered_at) / 86400))"
        " limit $2",
        now,
        limit,
    )
    return [(as_owed(row), row["offered_at"]) for row in rows]
