"""What rating compares with balance-watch, and how it continues after a restore."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rating.claims.store import ALARMS
from rating.posting.events import SOURCE
from ringfence.anti_entropy.copies import (
    Continued,
    MissingCopy,
    NumberOf,
    number_in,
    versions_in_words,
)
from ringfence.anti_entropy.loop import Owner
from ringfence.anti_entropy.store import QueryCheck
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import BALANCE_CHANGED, Topic

SCHEMA = ALARMS.schema
_BALANCES = """
select a.account_id as key, a.version, a.updated_at as at
from rating.account a
where {rows} and a.version > coalesce((
    select w.balance_version from report.level w where w.account_id = a.account_id
), 0)
"""
# A balance of the same version with another amount was published before a restore: it is one ahead.
_AHEAD = """
select a.account_id, w.balance_version + (w.balance_version = a.version)::int as version
from report.level w join rating.account a using (account_id)
where w.balance_version > a.version
    or w.balance_version = a.version and w.balance_version > 0
        and w.balance_micro <> a.balance_micro
"""
_AS_NOW = """
select a.account_id, a.version, a.balance_micro, a.currency, a.settled, a.updated_at,
    l.kind, l.cause_id, l.occurred_at, l.amount_micro
from rating.account a
left join lateral (
    select kind, cause_id, occurred_at, amount_micro from rating.ledger l
    where l.account_id = a.account_id order by version desc limit 1
) as l on true
where a.account_id = any($1) and a.version > 0
order by a.account_id
"""
_RAISE = """
with raised as (
    select a.account_id, a.version as before, n.number + 1 as version
    from rating.account a join unnest($1::text[], $2::bigint[]) as n (account_id, number)
        using (account_id)
    where a.account_id = any($3) and n.number > a.version
), gap as (
    insert into rating.version_gap (account_id, after_version, versions, at)
    select account_id, before, version - before, $4 from raised
)
update rating.account a set version = r.version, updated_at = $4
from raised r where a.account_id = r.account_id
returning a.account_id
"""


async def _balances(connection: Connection, copies: Sequence[MissingCopy]) -> Sequence[Outgoing]:
    return await balances_as_now(connection, [copy.key for copy in copies])


async def balances_as_now(connection: Connection, account_ids: Sequence[str]) -> list[Outgoing]:
    """`balance.changed.v1` of these accounts with the version and the balance that they have now.

    The id is that of the version's first event. An account without postings has no event.
    """
    rows = await connection.fetch(_AS_NOW, account_ids)
    return [_as_now(dict(row)) for row in rows]


def _as_now(row: dict[str, Any]) -> Outgoing:
    account_id, version = row["account_id"], row["version"]
    event_id = derive("balance.changed", account_id, version)
    changed = BalanceChanged(
        account_id=account_id,
        version=version,
        balance_micro=row["balance_micro"],
        from_version=version - 1,
        from_balance_micro=row["balance_micro"] - (row["amount_micro"] or 0),
        currency=row["currency"],
        cause=row["kind"] or "adjustment",
        cause_id=row["cause_id"] or event_id,
        occurred_at=row["occurred_at"] or row["updated_at"],
        settled=row["settled"],
    )
    return Outgoing(
        topic=BALANCE_CHANGED,
        key=account_id,
        value=changed.to_json(),
        event_id=event_id,
        time=changed.occurred_at,
        source=SOURCE,
        correlation_id=str(changed.cause_id),
    )


class ContinuedBalances:
    """Continues the versions of balances above those that balance-watch or the topic has.

    The versions between are no postings: they are recorded as a gap.
    """

    numbers: Mapping[Topic, NumberOf] = {BALANCE_CHANGED: number_in("version")}
    in_words = staticmethod(versions_in_words)

    async def ahead(self, connection: Connection) -> Mapping[str, int]:
        """The accounts of which balance-watch has a later version, or the same with another sum."""
        return {row[0]: row[1] for row in await connection.fetch(_AHEAD)}

    async def continue_above(
        self, connection: Connection, numbers: Mapping[str, int], now: datetime
    ) -> Continued:
        """Raise the versions above these, and publish the balances of now."""
        rows = await connection.fetch(
            "select account_id from rating.account where account_id = any($1)"
            " order by account_id for update",
            list(numbers),
        )
        locked = [row["account_id"] for row in rows]
        raised = await connection.fetch(_RAISE, list(numbers), list(numbers.values()), locked, now)
        accounts = [row["account_id"] for row in raised]
        await enqueue(connection, SCHEMA, await balances_as_now(connection, accounts))
        return Continued(accounts)


OWNER = Owner(
    service="rating",
    alarms=ALARMS,
    checks=(
        QueryCheck(
            schema=SCHEMA,
            topics=(BALANCE_CHANGED,),
            reader="balance-watch",
            query=_BALANCES,
            keyed="a.account_id = any($1)",
            written="a.updated_at",
            build=_balances,
        ),
    ),
    continuation=ContinuedBalances(),
)
