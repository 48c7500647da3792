"""The suspender's accounts and services: read in bulk with locks, and written in bulk."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

from ringfence.postgres.alarms import Alarms
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule
from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.topics import SUSPENDER_ALARM
from suspender.events import FAILED_ALARM, alarm_subject, reason_changed
from suspender.rules.account import AccountState, Decisions
from suspender.rules.service_state import Services, ServiceState
from suspender.store_elements import mark_released, write_named

SCHEMA = "suspender"
ALARMS = Alarms(SUSPENDER_ALARM, schema=SCHEMA)
PRUNED = (
    PruneRule("suspender.command", "answered_at"),
    PruneRule("suspender.switch_time", "confirmed_at"),
)
"""What this service deletes after the horizon (docs/retention.md)."""

_ACCOUNT = [each.name for each in fields(AccountState)]
_SERVICE = [each.name for each in fields(ServiceState)]
ACCOUNT_COLUMNS = ", ".join(_ACCOUNT)
SERVICE_COLUMNS = ", ".join(_SERVICE)

_WRITE_ACCOUNTS = """
update suspender.account a set
    balance_micro = n.balance_micro, crossing = n.crossing, held = n.held, hold = n.hold,
    hold_reason = n.hold_reason, held_since = n.held_since, mail_owed = n.mail_owed,
    undone_hold = n.undone_hold, live = n.live, prepaid = n.prepaid, decide_at = n.decide_at
from unnest(
    $1::text[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bigint[], $6::text[],
    $7::timestamptz[], $8::boolean[], $9::bigint[], $10::boolean[], $11::boolean[],
    $12::timestamptz[]
) as n (
    account_id, balance_micro, crossing, held, hold, hold_reason, held_since, mail_owed,
    undone_hold, live, prepaid, decide_at
)
where a.account_id = n.account_id
"""
_WRITE_PROFILES = """
update suspender.account a set profile = n.profile::json, profile_version = n.version
from unnest($1::text[], $2::text[], $3::int[]) as n (account_id, profile, version)
where a.account_id = n.account_id
"""
# The worker counts attempts without a lock on the account: only a new desired state resets them.
_WRITE_SERVICES = """
insert into suspender.service as s (
    account_id, service_id, server_id, kind, wanted, wanted_seq, mode, cause_id, correlation_id,
    would, holds, client_wide, live, reason_seq, product, departed, elements_changed,
    release_version, adopts
)
select account_id, service_id, server_id, kind, wanted, wanted_seq, mode, cause_id,
    correlation_id, would, string_to_array(holds, ','), client_wide, live, reason_seq,
    product::json, departed, elements_changed, release_version, adopts
from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
    $8::uuid[], $9::text[], $10::text[], $11::text[], $12::boolean[], $13::boolean[],
    $14::bigint[], $15::text[], $16::boolean[], $17::boolean[], $18::int[], $19::boolean[]
) as n (
    account_id, service_id, server_id, kind, wanted, wanted_seq, mode, cause_id, correlation_id,
    would, holds, client_wide, live, reason_seq, product, departed, elements_changed,
    release_version, adopts
)
on conflict (account_id, service_id) do update set
    server_id = excluded.server_id, kind = excluded.kind, wanted = excluded.wanted,
    mode = excluded.mode, cause_id = excluded.cause_id, correlation_id = excluded.correlation_id,
    would = excluded.would, holds = excluded.holds, client_wide = excluded.client_wide,
    live = excluded.live, reason_seq = excluded.reason_seq, wanted_seq = excluded.wanted_seq,
    product = coalesce(excluded.product, s.product), departed = excluded.departed,
    elements_changed = excluded.elements_changed, release_version = excluded.release_version,
    adopts = excluded.adopts,
    wanted_at = case when excluded.wanted_seq = s.wanted_seq then s.wanted_at else now() end,
    attempts = case when excluded.wanted_seq = s.wanted_seq then s.attempts else 0 end,
    last_error = case when excluded.wanted_seq = s.wanted_seq then s.last_error else '' end,
    next_attempt_at =
        case when excluded.wanted_seq = s.wanted_seq then s.next_attempt_at else now() end
"""


@dataclass
class LockedAccounts:
    """Locked accounts by id, each with its services."""

    accounts: dict[str, AccountState]
    services: dict[str, Services]


class DecisionTransaction:
    """The transaction of one batch: locks and reads accounts, then writes them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock(self, account_ids: Collection[str]) -> LockedAccounts:
        """Lock the accounts in the order of their ids, and create unknown ones."""
        ids = sorted(account_ids)
        await self.connection.execute(
            "insert into suspender.account (account_id) select unnest($1::text[])"
            " on conflict do nothing",
            ids,
        )
        return await self.lock_known(ids)

    async def lock_known(self, account_ids: Collection[str]) -> LockedAccounts:
        """Lock those of the accounts that are known, in the order of their ids."""
        rows = await self.connection.fetch(
            f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
            " where account_id = any($1) order by account_id for update",
            sorted(account_ids),
        )
        return await self._with_services(rows)

    async def lock_to_decide(self, now: datetime, limit: int) -> LockedAccounts:
        """Lock accounts whose `decide_at` has come, at most `limit`; skip those locked already."""
        rows = await self.connection.fetch(
            f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
            " where decide_at <= $1 and profile is not null"
            " order by account_id limit $2 for update skip locked",
            now,
            limit,
        )
        return await self._with_services(rows)

    async def _with_services(self, rows: Iterable[Any]) -> LockedAccounts:
        accounts = {row["account_id"]: account_of(row) for row in rows}
        services: dict[str, Services] = {account_id: {} for account_id in accounts}
        for row in await self.connection.fetch(
            f"select {SERVICE_COLUMNS} from suspender.service"  # noqa: S608 - our own columns
            " where account_id = any($1)",
            list(accounts),
        ):
            service = service_of(row)
            services[service.account_id][service.service_id] = service
        return LockedAccounts(accounts, services)

    async def write(
        self,
        accounts: Collection[AccountState],
        new_profiles: Collection[AccountState],
        decisions: Decisions,
        now: datetime,
    ) -> None:
        """Write the decisions, publish changes of reason, end alarms of former desired states."""
        await self._execute(_WRITE_ACCOUNTS, [_account_row(account) for account in accounts])
        await self._execute(_WRITE_PROFILES, [_profile_row(account) for account in new_profiles])
        await self._execute(
            _WRITE_SERVICES,
            [
                _service_row(service, with_product=service.key in decisions.products)
                for service in decisions.services.values()
            ],
        )
        await write_named(
            self.connection, [decisions.services[key] for key in sorted(decisions.named)]
        )
        await mark_released(self.connection, decisions.released)
        events = [reason_changed(change, now) for change in decisions.reasons.values()]
        await enqueue(self.connection, SCHEMA, events)
        subjects = [alarm_subject(*key) for key in decisions.switched]
        await end_alarms(self.connection, FAILED_ALARM, subjects, now)
        if any(decisions.services[key].departed for key in decisions.switched):
            await self._close_departed()

    async def _close_departed(self) -> None:
        """Confirm services that have neither a product nor elements on record."""
        await self.connection.execute(
            "update suspender.service s set confirmed = 'active', confirmed_seq = wanted_seq,"
            " confirmed_at = now(), evidence = 'the client has this product no more', attempts = 0,"
            " last_error = ''"
            " where departed and wanted = 'active' and wanted_seq > confirmed_seq and not exists ("
            "   select from suspender.switched_off o"
            "   where o.account_id = s.account_id and o.service_id = s.service_id)"
        )

    async def _execute(self, statement: str, rows: Collection[tuple[Any, ...]]) -> None:
        """Write all rows with one statement, which gets one array for each column."""
        if rows:
            await self.connection.execute(statement, *map(list, zip(*rows, strict=True)))


async def end_alarms(
    connection: Connection, key: str, subjects: Collection[str], now: datetime
) -> None:
    """End those of the alarms of kind `key` about these subjects that are open."""
    if not subjects:
        return
    rows = await connection.fetch(
        "select subject from suspender.alarm"
        " where key = $1 and ended_at is null and subject = any($2)",
        key,
        list(subjects),
    )
    for row in rows:
        await ALARMS.end_alarm(connection, key, row["subject"], now)


class SuspenderStore:
    """Opens the transactions of decisions."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[DecisionTransaction]:
        """One transaction for one batch."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield DecisionTransaction(cast(Any, connection))

    async def clients_held(self) -> int:
        """The number of live clients to whom a funds hold applies."""
        count = await self.pool.fetchval(
            "select count(*) from suspender.account where held and live"
            " and (hold = 0 or hold <> undone_hold)"
        )
        return int(count)


def account_of(row: Any) -> AccountState:
    """A row of suspender.account."""
    values = dict(row)
    if values["profile"] is not None:
        values["profile"] = AccountChanged.model_validate(values["profile"])
    return AccountState(**values)


def service_of(row: Any) -> ServiceState:
    """A row of suspender.service."""
    values = dict(row)
    values["holds"] = tuple(values["holds"])
    values["ended_calls"] = tuple(values["ended_calls"])
    if values["product"] is not None:
        values["product"] = Service.model_validate(values["product"])
    return ServiceState(**values)


def _account_row(a: AccountState) -> tuple[Any, ...]:
    return (
        a.account_id, a.balance_micro, a.crossing, a.held, a.hold, a.hold_reason, a.held_since,
        a.mail_owed, a.undone_hold, a.live, a.prepaid, a.decide_at,
    )  # fmt: skip


def _profile_row(account: AccountState) -> tuple[Any, ...]:
    assert account.profile is not None
    return account.account_id, account.profile.to_json().decode(), account.profile_version


def _service_row(s: ServiceState, *, with_product: bool) -> tuple[Any, ...]:
    product = s.product.to_json().decode() if with_product and s.product else None
    return (
        s.account_id, s.service_id, s.server_id, s.kind, s.wanted, s.wanted_seq, s.mode,
        s.cause_id, s.correlation_id, s.would, ",".join(s.holds), s.client_wide, s.live,
        s.reason_seq, product, s.departed, s.elements_changed, s.release_version, s.adopts,
    )  # fmt: skip
