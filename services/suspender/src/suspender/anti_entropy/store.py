"""What the suspender compares with accounts: the confirmed state of each service."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ringfence.anti_entropy.copies import Continued, MissingCopy, NumberOf
from ringfence.anti_entropy.loop import Owner
from ringfence.anti_entropy.store import QueryCheck
from ringfence.postgres.pool import Connection
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import SERVICE_RESTORED, SERVICE_SUSPENDED, Topic
from suspender.events import state_as_now
from suspender.store import ACCOUNT_COLUMNS, ALARMS, SCHEMA, SERVICE_COLUMNS, account_of, service_of

# A product that accounts does not have any more has no state there.
_STATES = """
select s.account_id || '/' || s.service_id as key, s.wanted_seq as version, s.confirmed_at as at
from suspender.service s
join report.product p on p.service_id = s.service_id and p.account_id = s.account_id
left join report.service_copy c on c.service_id = s.service_id
where {rows} and s.confirmed is not null and s.confirmed_at is not null
    and s.confirmed_seq = s.wanted_seq and not s.departed
    and (s.confirmed = 'suspended') <> coalesce(c.suspended, false)
"""
_KEYED = """
(s.account_id, s.service_id) in (
    select split_part(k, '/', 1), split_part(k, '/', 2) from unnest($1::text[]) as k
)
"""


async def _states(connection: Connection, copies: Sequence[MissingCopy]) -> Sequence[Outgoing]:
    keys = [copy.key.split("/", 1) for copy in copies]
    rows = await connection.fetch(
        f"select {SERVICE_COLUMNS} from suspender.service"  # noqa: S608 - our own columns
        " join unnest($1::text[], $2::text[]) as k (account_id, service_id)"
        " using (account_id, service_id)",
        [account_id for account_id, _ in keys],
        [service_id for _, service_id in keys],
    )
    found = await connection.fetch(
        f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
        " where account_id = any($1) and profile is not null",
        [account_id for account_id, _ in keys],
    )
    accounts = {row["account_id"]: account_of(row) for row in found}
    services = [service_of(row) for row in rows]
    return [
        state_as_now(accounts[service.account_id], service)
        for service in services
        if service.account_id in accounts and service.cause_id is not None
    ]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READ_AGAIN = """
update suspender.service s set
    adopts = true, confirmed = null, wanted_seq = wanted_seq + 1, wanted_at = $2, attempts = 0,
    next_attempt_at = $2, last_error = '', cause_id = coalesce(s.cause_id, k.cause_id),
    mode = case when mode in ('manual', 'exempt', 'forced') then mode else 'auto' end
from unnest($1::text[], $3::uuid[], $4::timestamptz[]) as k (key, cause_id, confirmed_at)
where s.account_id || '/' || s.service_id = k.key and s.confirmed is distinct from 'suspended'
    and coalesce(s.confirmed_at, s.wanted_at) < k.confirmed_at
    and s.live and s.would <> 'leave' and not s.departed and s.product is not null
returning k.key
"""


def _confirmed(data: Mapping[str, Any], suspended: int) -> tuple[str, int]:
    """A service, and when it was confirmed, in half microseconds; an odd number: as suspended."""
    since = datetime.fromisoformat(data["confirmed_at"]) - _EPOCH
    number = since // timedelta(microseconds=1) * 2 + suspended
    return f"{data['account_id']}/{data['service_id']}", number


class SwitchedSince:
    """After a restore: reads again at the PBX what was switched off since the backup.

    What the topic says was suspended, and this database does not know, is off at the PBX without a
    record. It counts as switched off by us, as for a client who is imported as suspended: a service
    that is to be on is switched on, one that is to be off gets its record.
    """

    numbers: Mapping[Topic, NumberOf] = {
        SERVICE_SUSPENDED: lambda data: _confirmed(data, 1),
        SERVICE_RESTORED: lambda data: _confirmed(data, 0),
    }

    def in_words(self, raised: int) -> str:
        """What was done for so many services."""
        return (
            f"{raised} services were switched off since then: they are read at their PBX, and what"
            " is off there counts as switched off by us"
        )

    async def ahead(self, connection: Connection) -> Mapping[str, int]:
        """Nothing: no reader knows more of a service than the suspender."""
        return {}

    async def continue_above(
        self, connection: Connection, numbers: Mapping[str, int], now: datetime
    ) -> Continued:
        """Have the services that were suspended last read, and switched to their desired state."""
        keys = sorted(key for key, number in numbers.items() if number % 2)
        causes = [derive("restored", key, now.isoformat()) for key in keys]
        times = [_EPOCH + timedelta(microseconds=numbers[key] // 2) for key in keys]
        rows = await connection.fetch(_READ_AGAIN, keys, now, causes, times)
        return Continued([row["key"] for row in rows])


OWNER = Owner(
    service="suspender",
    alarms=ALARMS,
    checks=(
        QueryCheck(
            schema=SCHEMA,
            topics=(SERVICE_SUSPENDED, SERVICE_RESTORED),
            reader="accounts",
            query=_STATES,
            keyed=_KEYED,
            written="s.confirmed_at",
            build=_states,
        ),
    ),
    continuation=SwitchedSince(),
)
