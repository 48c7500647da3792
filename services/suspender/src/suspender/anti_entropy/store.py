"""What the suspender compares with accounts: the confirmed state of each service."""

from collections.abc import Sequence

from ringfence.anti_entropy.copies import MissingCopy
from ringfence.anti_entropy.loop import Owner
from ringfence.anti_entropy.store import QueryCheck
from ringfence.postgres.pool import Connection
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import SERVICE_RESTORED, SERVICE_SUSPENDED
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
)
