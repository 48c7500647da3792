"""Reads the facts of the digest from the report views, and queues the digest as a mail."""

from datetime import datetime
from uuid import UUID

import asyncpg

from notifier.operator.digest import (
    DAILY_DIGEST,
    LISTED_AT_MOST,
    ClientLine,
    ClientList,
    DigestFacts,
    Turnover,
)
from notifier.template import Rendered
from ringfence.postgres.pool import Connection, Pool

_NAME = (
    "trim(coalesce(a.first_name, '') || ' ' || coalesce(a.last_name, '')"
    " || case when coalesce(a.company_name, '') = '' then ''"
    " else ' (' || a.company_name || ')' end)"
)
_LISTED = f"""
select v.account_id, {_NAME} as name, coalesce(b.balance_micro, 0) as balance_micro,
    coalesce(b.currency, 'USD') as currency, count(*) over () as count
from ({{clients}}) as v
left join notifier.account a using (account_id)
left join report.balance b using (account_id)
order by b.balance_micro nulls first, v.account_id limit {LISTED_AT_MOST}
"""  # noqa: S608 - this file's constants
_OFF = """
select distinct account_id from report.service_state where confirmed = 'suspended' and live
"""
_LOW = "select account_id from report.level where level = 'low' and mode <> 'shadow'"
_COUNTS = """
select
    (select count(*) from report.service_state where open and attempts > 2) as failing,
    (select count(distinct account_id) from report.service_state
        where not live and would = 'suspended') as would_be_off,
    (select count(*) from report.unrated) as unrated,
    (select coalesce(sum(billsec), 0) from report.unrated)::bigint as unrated_s,
    (select min(queued_at) from report.unrated) as unrated_since,
    (select count(*) from report.dead_call) as dead,
    (select count(*) from report.drift) as drift,
    (select count(*) from report.drift where given_up) as drift_given_up,
    (select count(*) from report.alarm where ended_at is null) as alarm_count,
    (select count(*) from notifier.delivery
        where state = 'failed' and created_at >= $1 and created_at < $2) as deliveries_failed
"""
_TURNOVER = """
select coalesce(b.currency, '?') as currency,
    coalesce(sum(amount_micro) filter (where kind = 'top-up'), 0)::bigint as in_micro,
    coalesce(-sum(amount_micro) filter (where kind = 'charge'), 0)::bigint as charged_micro,
    count(*) filter (where kind = 'charge') as calls,
    coalesce(sum(amount_micro) filter (where kind in ('adjustment', 'reversal')), 0)::bigint
        as corrected_micro
from report.ledger l left join report.balance b using (account_id)
where l.posted_at >= $1 and l.posted_at < $2
group by 1 order by 1
"""
_MAILS = """
select state, count(*) from report.notice
where kind in ('low', 'zero', 'restored') and created_at >= $1 and created_at < $2 group by state
"""
_FAILURES = f"""
select coalesce(n.account_id, '') as account_id, {_NAME} as name, n.template, n.recipient,
    n.state, n.reason
from report.notice n left join notifier.account a using (account_id)
where n.state in ('failed', 'in doubt') and n.created_at >= $1 and n.created_at < $2
order by n.created_at desc limit {LISTED_AT_MOST}
"""  # noqa: S608 - this file's constants
_ALARMS = f"""
select service, key, subject, message from report.alarm where ended_at is null
order by raised_at desc limit {LISTED_AT_MOST}
"""  # noqa: S608 - this file's constants


async def read_digest(pool: Pool, since: datetime, until: datetime) -> DigestFacts:
    """The facts for the digest of this period."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        counts = await connection.fetchrow(_COUNTS, since, until)
        assert counts is not None, "the query always returns one row"
        mails = await connection.fetch(_MAILS, since, until)
        failures = await connection.fetch(_FAILURES, since, until)
        turnover = await connection.fetch(_TURNOVER, since, until)
        alarms = await connection.fetch(_ALARMS)
        return DigestFacts(
            since=since,
            until=until,
            off=await _listed(connection, _OFF),
            low=await _listed(connection, _LOW),
            mails={row["state"]: row["count"] for row in mails},
            failures=[_failure(row) for row in failures],
            turnover=[Turnover(**row) for row in turnover],
            alarms=[f"{r['key']} {r['subject']}: {r['message']}" for r in alarms],
            **counts,
        )


async def _listed(connection: Connection, clients: str) -> ClientList:
    rows = await connection.fetch(_LISTED.format(clients=clients))
    return ClientList(
        count=rows[0]["count"] if rows else 0,
        clients=[
            ClientLine(row["account_id"], row["name"], row["balance_micro"], row["currency"])
            for row in rows
        ],
    )


def _failure(row: asyncpg.Record) -> str:
    who = f"{row['name']} ({row['account_id']})" if row["name"] else row["account_id"]
    return f"{row['template']} to {who or row['recipient']}: {row['state']}: {row['reason']}"


async def is_written(pool: Pool, message_id: UUID) -> bool:
    """Whether the digest with this id was added before."""
    found = await pool.fetchval(
        "select true from notifier.message where message_id = $1", message_id
    )
    return found is True


async def add_digest(
    pool: Pool, message_id: UUID, recipient: str, content: Rendered, now: datetime
) -> bool:
    """Add the digest to the queue of mails; False if another replica added it before."""
    added = await pool.fetchval(
        "insert into notifier.message (message_id, account_id, template, kind, cause_id, state,"
        " recipient, subject, text_body, html_body, occurred_at, due_at, next_attempt_at,"
        " created_at, priority, last_error, correlation_id)"
        " values ($1, null, $2, 'digest', $1, 'waiting', $3, $4, $5, $6, $7, $7, $7, $7, 2, '',"
        " $8) on conflict (message_id) do nothing returning true",
        message_id,
        DAILY_DIGEST,
        recipient,
        content.subject,
        content.text,
        content.html,
        now,
        str(message_id),
    )
    return added is True
