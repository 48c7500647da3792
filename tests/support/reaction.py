"""What the services write when a call, or a payment, switches a service: for tests of readers."""

from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg


async def switched_for(
    database: "asyncpg.Connection[asyncpg.Record]",
    account: str,
    *,
    confirmed_at: datetime,
    charged_s: float = 0.3,
    total_s: float = 0.8,
    kind: str = "charge",
    cause: str | None = None,
) -> None:
    """A posting that used up (or gave back) the credit, its crossing, and the confirmed switch.

    `charged_s` and `total_s` are from the end of the call to its charge and to the confirmation.
    `cause` is the correlation id of the switch, where it is not that of the crossing.
    """
    ended_at = confirmed_at - timedelta(seconds=total_s)
    correlation, off = str(uuid4()), kind == "charge"
    await database.execute(
        "insert into rating.account (account_id, currency) values ($1, 'CAD')"
        " on conflict do nothing",
        account,
    )
    version = await database.fetchval(
        "insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
        " balance_after_micro, cause_id, occurred_at, posted_at, input_hash, explanation)"
        " select $1, coalesce(max(version), 0) + 1, $2, $3, 0, 0, $2, $4, $5, '', '{}'"
        " from rating.ledger where account_id = $1 returning version",
        account,
        uuid4(),
        kind,
        ended_at,
        ended_at + timedelta(seconds=charged_s),
    )
    await database.execute(
        "insert into balance_watch.crossing"
        " (cause_id, account_id, topic, value, crossed_at, correlation_id)"
        " values ($1, $2, $3, $4, $5, $6)",
        uuid4(),
        account,
        "balance.zero.v1" if off else "balance.restored.v1",
        f'{{"account_id":"{account}","crossing":1,"balance_version":{version}}}'.encode(),
        ended_at + timedelta(seconds=charged_s),
        correlation,
    )
    await database.execute(
        "insert into suspender.switch_time (account_id, service_id, wanted_seq, wanted,"
        " correlation_id, wanted_at, confirmed_at)"
        " select $1, 'pbx-' || $1, coalesce(max(wanted_seq), 0) + 1, $2, $3, $4, $5"
        " from suspender.switch_time where account_id = $1",
        account,
        "suspended" if off else "active",
        cause or correlation,
        confirmed_at,
        confirmed_at,
    )
