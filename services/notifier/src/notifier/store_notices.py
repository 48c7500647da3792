"""Notices that got no mail yet: they wait for their account, or are owed after all."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from notifier.merge_fields import Funds
from notifier.notice import LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE, Message, Notice
from ringfence.postgres.pool import Connection

_CLOCKS_DIFFER = timedelta(minutes=1)


async def find_notice(connection: Connection, message_id: UUID) -> Notice:
    """What a message that was added before is about."""
    row = await connection.fetchrow(
        "select * from notifier.message where message_id = $1", message_id
    )
    assert row is not None, "messages are never removed"
    return _as_notice(row)


async def waiting(connection: Connection, account_id: str) -> list[Notice]:
    """The account's notices that came before the account did."""
    rows = await connection.fetch(
        "select * from notifier.message where account_id = $1 and state = 'waiting'"
        " order by created_at for update",
        account_id,
    )
    return [_as_notice(row) for row in rows]


async def held_in_shadow(
    connection: Connection, account_id: str, live_since: datetime
) -> list[Notice]:
    """Notices from after the client went live that came before this was known here.

    A low alert of the very instant is the one that going live brought about. The switch is
    confirmed by another clock, which may be a little behind.
    """
    rows = await connection.fetch(
        "select * from notifier.message where account_id = $1 and shadow"
        " and (template = $3 and state = 'skipped' and occurred_at >= $2"
        "  or template = $4 and state = 'superseded' and occurred_at >= $2 - $5::interval)"
        " order by created_at for update",
        account_id,
        live_since,
        LOW_BALANCE_ALERT,
        VOIP_ZERO_BALANCE,
        _CLOCKS_DIFFER,
    )
    return [_as_notice(row) for row in rows]


async def reword(connection: Connection, message: Message, now: datetime) -> None:
    """Give a message that was not sent yet its words, and the time to try it: now."""
    await connection.execute(
        "update notifier.message set state = $2, recipient = $3, subject = $4,"
        " text_body = $5, html_body = $6, last_error = $7, next_attempt_at = $8, shadow = $9"
        " where message_id = $1 and state in ('waiting', 'skipped', 'superseded')",
        message.notice.message_id,
        message.state,
        message.recipient,
        message.subject,
        message.text,
        message.html,
        message.reason,
        now,
        message.shadow,
    )


async def owe_again(connection: Connection, message: Message, now: datetime) -> bool:
    """Put a superseded mail back, as a newer event has it; whether there was one."""
    notice, funds = message.notice, message.notice.funds
    assert funds is not None, "mails to the operator are not owed again"
    superseded = await connection.fetchval(
        "update notifier.message set cause_id = $2, balance_micro = $3,"
        " outstanding_micro = $4, currency = $5, occurred_at = $6, correlation_id = $7,"
        " created_at = $8, attempts = 0"
        " where message_id = $1 and state = 'superseded' and occurred_at < $6 returning true",
        notice.message_id,
        notice.cause_id,
        funds.balance_micro,
        funds.outstanding_micro,
        funds.currency,
        notice.occurred_at,
        notice.correlation_id,
        now,
    )
    if superseded:
        await reword(connection, message, now)
    return superseded is True


def _as_notice(row: asyncpg.Record) -> Notice:
    funds = Funds(row["balance_micro"], row["outstanding_micro"], row["currency"])
    return Notice(
        message_id=row["message_id"],
        account_id=row["account_id"],
        template=row["template"],
        cause_id=row["cause_id"],
        funds=None if funds.currency is None else funds,
        crossing=row["crossing"],
        occurred_at=row["occurred_at"],
        correlation_id=row["correlation_id"],
        would_be=row["shadow"] and row["state"] == "waiting",
    )
