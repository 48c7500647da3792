"""What accounts compares with its readers, and how it continues after a restore."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from accounts.clients.store_publishing import (
    ALARMS,
    SCHEMA,
    AuditEntry,
    ClientChange,
    events_as_now,
    publish,
)
from accounts.payments.payment import Payment
from accounts.payments.store_rows import payment_event
from accounts.store_rows import as_account
from accounts.tariffs.store_versions import tariff_event
from ringfence.anti_entropy.copies import (
    Continued,
    MissingCopy,
    NumberOf,
    number_in,
    versions_in_words,
)
from ringfence.anti_entropy.loop import Owner
from ringfence.anti_entropy.store import QueryCheck
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    PAYMENT_RECEIVED,
    TARIFF_PUBLISHED,
    Topic,
)

# Subqueries instead of `not exists`, which the planner may turn into a join with the whole ledger.
_PAYMENTS = """
select p.payment_id::text as key, 0::bigint as version, p.received_at as at
from accounts.payment p
where {rows}
    and (select l.entry_id from report.ledger l where l.entry_id = p.payment_id) is null
    and (select u.payment_id from report.unclaimed_payment u where u.payment_id = p.payment_id)
        is null
"""
_PROFILES = """
select a.account_id as key, a.version, a.changed_at as at
from accounts.account a
where {{rows}}
    and a.version > coalesce((
        select c.version from report.profile_copy c
        where c.reader = '{reader}' and c.account_id = a.account_id
    ), 0)
"""
_TARIFFS = """
select v.version_id::text as key, 0::bigint as version, v.created_at as at
from accounts.tariff_version v
where {rows}
    and not exists (select from report.tariff_copy c where c.version_id = v.version_id)
"""
_AHEAD = """
select c.account_id, max(c.version)
from report.profile_copy c left join accounts.account a using (account_id)
where c.version > coalesce(a.version, 0)
group by c.account_id
"""


async def _payments(connection: Connection, copies: Sequence[MissingCopy]) -> Sequence[Outgoing]:
    rows = await connection.fetch(
        "select * from accounts.payment where payment_id = any($1) order by received_at",
        [UUID(copy.key) for copy in copies],
    )
    return [payment_event(Payment(**dict(row))) for row in rows]


async def _profiles(connection: Connection, copies: Sequence[MissingCopy]) -> Sequence[Outgoing]:
    return await events_as_now(connection, [copy.key for copy in copies])


async def _tariffs(connection: Connection, copies: Sequence[MissingCopy]) -> Sequence[Outgoing]:
    rows = await connection.fetch(
        "select * from accounts.tariff_version where version_id = any($1) order by version_id",
        [int(copy.key) for copy in copies],
    )
    return [tariff_event(dict(row)) for row in rows]


class ContinuedVersions:
    """Continues the versions of clients above those that a reader or the topic has."""

    numbers: Mapping[Topic, NumberOf] = {ACCOUNT_CHANGED: number_in("version")}
    in_words = staticmethod(versions_in_words)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def ahead(self, connection: Connection) -> Mapping[str, int]:
        """The clients of whom a reader has a later version, and that version."""
        return {row[0]: row[1] for row in await connection.fetch(_AHEAD)}

    async def continue_above(
        self, connection: Connection, numbers: Mapping[str, int], now: datetime
    ) -> Continued:
        """Publish the next version after these, with the state of now, in the audit too."""
        rows = await connection.fetch(
            "select * from accounts.account where account_id = any($1)"
            " order by account_id for no key update",
            list(numbers),
        )
        known = {row["account_id"]: as_account(row) for row in rows}
        changes = [
            ClientChange(account, account.model_copy(update={"version": numbers[account_id]}))
            for account_id, account in known.items()
            if account.version < numbers[account_id]
        ]
        entry = AuditEntry(
            "ringfence", "continued above a later version: the database was restored"
        )
        raised = await publish(connection, changes, entry, self._clock) if changes else []
        unknown = sorted(numbers.keys() - known.keys())
        return Continued([account.account_id for account in raised], unknown)


def owner(clock: Clock) -> Owner:
    """All that accounts compares."""
    profiles = [
        QueryCheck(
            schema=SCHEMA,
            topics=(ACCOUNT_CHANGED,),
            reader=reader,
            query=_PROFILES.format(reader=reader),
            keyed="a.account_id = any($1)",
            written="a.changed_at",
            build=_profiles,
        )
        for reader in ACCOUNT_CHANGED.readers
    ]
    payments = QueryCheck(
        schema=SCHEMA,
        topics=(PAYMENT_RECEIVED,),
        reader="rating",
        query=_PAYMENTS,
        keyed="p.payment_id = any($1::text[]::uuid[])",
        written="p.received_at",
        build=_payments,
    )
    tariffs = QueryCheck(
        schema=SCHEMA,
        topics=(TARIFF_PUBLISHED,),
        reader="rating",
        query=_TARIFFS,
        keyed="v.version_id = any($1::text[]::int[])",
        written="v.created_at",
        build=_tariffs,
    )
    return Owner(
        service="accounts",
        alarms=ALARMS,
        checks=(payments, *profiles, tariffs),
        continuation=ContinuedVersions(clock),
    )
