"""What balance-watch compares with its readers, and how it continues after a restore."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from balance_watch.store import ALARMS, WatchTransaction
from balance_watch.watch import Crossing, WatchedAccount, crossing_of_state
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
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import (
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    Topic,
)

SCHEMA = ALARMS.schema
# The last crossing of each account that the reader reads. Older ones are no state.
_CROSSINGS = """
select a.account_id as key, c.number as version, a.updated_at as at
from balance_watch.account a
cross join lateral (
    select balance_watch.crossing_number(value) as number from balance_watch.crossing
    where account_id = a.account_id and topic = any('{{{{{topics}}}}}'::text[])
    order by balance_watch.crossing_number(value) desc limit 1
) as c
where a.crossings > 0 and {{rows}} and c.number > coalesce((
    select r.crossing from report.crossing_copy r
    where r.reader = '{reader}' and r.account_id = a.account_id
), 0)
"""
_LAST = """
select k.account_id, c.* from unnest($1::text[], $2::bigint[]) as k (account_id, number)
cross join lateral (
    select cause_id, topic, value, crossed_at, correlation_id from balance_watch.crossing
    where account_id = k.account_id and balance_watch.crossing_number(value) = k.number
    order by crossed_at desc limit 1
) as c
"""
_AHEAD = """
select r.account_id, max(r.crossing)
from report.crossing_copy r join balance_watch.account a using (account_id)
where r.crossing > a.crossings
group by r.account_id
"""
_COPIES = """
select account_id, max(hold) as hold, max(stay) as stay,
    bool_or(held) filter (where reader = 'suspender') as held
from report.crossing_copy where account_id = any($1) group by account_id
"""


async def _crossings(connection: Connection, copies: Sequence[MissingCopy]) -> Sequence[Outgoing]:
    """The crossings as they were published: with their ids, so that nobody is mailed twice."""
    rows = await connection.fetch(
        _LAST, [copy.key for copy in copies], [copy.version for copy in copies]
    )
    return [Crossing(**dict(row)).outgoing() for row in rows]


class ContinuedCrossings:
    """Continues the numbers of crossings, holds and stays above those that the readers have."""

    numbers: Mapping[Topic, NumberOf] = {
        BALANCE_LOW: number_in("crossing"),
        BALANCE_ZERO: number_in("crossing"),
        BALANCE_RESTORED: number_in("crossing"),
    }
    in_words = staticmethod(versions_in_words)

    async def ahead(self, connection: Connection) -> Mapping[str, int]:
        """The accounts of which a reader has a later crossing, and its number."""
        return {row[0]: row[1] for row in await connection.fetch(_AHEAD)}

    async def continue_above(
        self, connection: Connection, numbers: Mapping[str, int], now: datetime
    ) -> Continued:
        """Publish the state of each account as its next crossing after these."""
        transaction = WatchTransaction(connection)
        accounts = await transaction.accounts(list(numbers))
        behind = {
            account_id: account
            for account_id, account in accounts.items()
            if account.crossings < numbers[account_id]
        }
        copies = {row["account_id"]: row for row in await connection.fetch(_COPIES, list(behind))}
        crossings = []
        for account_id, account in behind.items():
            copy = copies.get(account_id)
            account.crossings = numbers[account_id]
            was_held = bool(copy and copy["held"])
            if copy:
                _continue_counts(account, copy["hold"], copy["stay"], was_held)
            crossings.append(crossing_of_state(account, was_held, now))
        await transaction.write(behind.values(), crossings, [])
        await enqueue(connection, SCHEMA, [crossing.outgoing() for crossing in crossings])
        return Continued(list(behind))


def _continue_counts(account: WatchedAccount, hold: int, stay: int, was_held: bool) -> None:
    """A hold that the suspender does not know is one after those that it knows."""
    is_new_hold = account.held and not was_held and account.holds <= hold
    account.holds = max(account.holds, hold + is_new_hold)
    account.stays = max(account.stays, stay)


def _check(reader: str, *topics: Topic) -> QueryCheck:
    names = ",".join(topic.name for topic in topics)
    return QueryCheck(
        schema=SCHEMA,
        topics=topics,
        reader=reader,
        query=_CROSSINGS.format(reader=reader, topics=names),
        keyed="a.account_id = any($1)",
        written="a.updated_at",
        build=_crossings,
    )


OWNER = Owner(
    service="balance-watch",
    alarms=ALARMS,
    checks=(
        _check("suspender", BALANCE_ZERO, BALANCE_RESTORED),
        _check("notifier", BALANCE_LOW, BALANCE_ZERO, BALANCE_RESTORED),
    ),
    continuation=ContinuedCrossings(),
)
