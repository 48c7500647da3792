"""Saves, audits and publishes the next version of clients in the transaction of a change."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from accounts.access.clients.store_ending import end_links
from accounts.clients.account import Account, account_changed
from accounts.clients.changes import FieldChanges, JsonObject, difference, facts
from accounts.payments.store_rows import accepted_payments
from accounts.store_rows import account_columns, as_account, services_of
from ringfence.clock import Clock
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts import ids
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import ACCOUNT_CHANGED, ACCOUNTS_ALARM

SCHEMA = "accounts"
ALARMS = Alarms(ACCOUNTS_ALARM, schema=SCHEMA)
MAX_EVENT_BYTES = 400_000
"""A larger account could never be published, so a change that makes it so is refused."""


@dataclass(frozen=True)
class AuditEntry:
    """Who changes something, what is done, and why."""

    who: str
    what: str
    correlation_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ClientChange:
    """A client before and after; `was` and `now`: what changed beside it, such as a product."""

    before: Account | None
    after: Account
    was: JsonObject = field(default_factory=dict)
    now: JsonObject = field(default_factory=dict)


async def publish(
    connection: Connection, changes: Sequence[ClientChange], entry: AuditEntry, clock: Clock
) -> list[Account]:
    """Save and publish the next version of locked clients, each with its audit entry."""
    now = clock.now()
    ids_of = [change.after.account_id for change in changes]
    services = await services_of(connection, ids_of)
    accepted = await accepted_payments(connection, ids_of)
    raised = [c.after.model_copy(update={"version": c.after.version + 1}) for c in changes]
    await connection.executemany(
        "update accounts.account set version = $2, time_zone = $3, client = $4, profile = $5,"
        " outstanding_micro = $6, orders = $7, mode = $8, leave_off = $9, credit_limit_micro = $10,"
        " outstanding_as_of = $11, imported = $12, changed_at = $13 where account_id = $1",
        [(a.account_id, a.version, *account_columns(a), now) for a in raised],
    )
    differences = [_difference(change, clock) for change in changes]
    await connection.executemany(
        "insert into accounts.account_change (account_id, version, what, changed_by, changed_at,"
        " reason, before, after) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (a.account_id, a.version, entry.what, entry.who, now, entry.reason, d.before, d.after)
            for a, d in zip(raised, differences, strict=True)
        ],
    )
    for change in changes:
        if change.before and _addresses(change.before) != _addresses(change.after):
            # A link in a mail to the old address must not open the page any more.
            reason = "the address of its mails changed"
            await end_links(connection, change.after.account_id, entry.who, reason, now)
    events = [
        _event(
            account_changed(a, services[a.account_id], now, accepted.get(a.account_id, 0)),
            entry.correlation_id,
        )
        for a in raised
    ]
    await enqueue(connection, SCHEMA, events)
    return raised


async def events_as_now(connection: Connection, account_ids: Sequence[str]) -> list[Outgoing]:
    """`account.changed.v1` of these clients with the version and the state that they have now.

    The id is that of the version's first event: a consumer takes it for the same.
    """
    rows = await connection.fetch(
        "select * from accounts.account where account_id = any($1) order by account_id",
        account_ids,
    )
    services = await services_of(connection, account_ids)
    accepted = await accepted_payments(connection, account_ids)
    return [
        _event(
            account_changed(
                as_account(row),
                services[row["account_id"]],
                row["changed_at"],
                accepted.get(row["account_id"], 0),
            ),
            "",
        )
        for row in rows
    ]


def _addresses(account: Account) -> tuple[str, ...]:
    return account.client.email, *account.client.cc


def _difference(change: ClientChange, clock: Clock) -> FieldChanges:
    now = clock.now()
    before = None if change.before is None else {**facts(change.before, now), **change.was}
    return difference(before, {**facts(change.after, now), **change.now})


def _event(data: AccountChanged, correlation_id: str) -> Outgoing:
    value = data.to_json()
    if len(value) > MAX_EVENT_BYTES:
        expected = f"at most {MAX_EVENT_BYTES} bytes for a client and all of its products"
        raise BadInput("client", f"{len(value)} bytes", expected)
    return Outgoing(
        topic=ACCOUNT_CHANGED,
        key=data.account_id,
        value=value,
        event_id=ids.derive(ACCOUNT_CHANGED.name, data.account_id, data.version),
        time=data.changed_at,
        source=SCHEMA,
        correlation_id=correlation_id,
    )
