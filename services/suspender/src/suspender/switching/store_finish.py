"""Writes and publishes the results of a batch on a server in one transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts.records import Outgoing
from suspender import events
from suspender.rules.account import AccountState, zero_mail_owed
from suspender.rules.elements import Element, ServiceKey
from suspender.rules.service_state import ServiceState
from suspender.rules.work import (
    BatchResult,
    ConfirmedService,
    DueService,
    FailedElement,
    FailedService,
    LooseElement,
)
from suspender.store import (
    ACCOUNT_COLUMNS,
    ALARMS,
    SCHEMA,
    SERVICE_COLUMNS,
    account_of,
    end_alarms,
    service_of,
)
from suspender.store_elements import columns, key_columns


async def write_finished(connection: Connection, finished: BatchResult, now: datetime) -> None:
    """Write and publish the results of a batch. Call it in a transaction."""
    dues = [item.due for item in finished.confirmed] + [item.due for item in finished.failed]
    locked = await _Locked.of(connection, dues)
    await _confirm(connection, locked, finished.confirmed, now)
    await _fail(connection, locked, finished.failed, now)
    await _write_records(connection, finished, now)


class _Locked:
    """The accounts of a batch, locked in the order of their ids, and their services as of now."""

    def __init__(
        self, accounts: dict[str, AccountState], services: dict[ServiceKey, ServiceState]
    ) -> None:
        self._accounts = accounts
        self._services = services

    @classmethod
    async def of(cls, connection: Connection, dues: Collection[DueService]) -> "_Locked":
        if not dues:
            return cls({}, {})
        rows = await connection.fetch(
            f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
            " where account_id = any($1) order by account_id for update",
            sorted({due.service.account_id for due in dues}),
        )
        found = await connection.fetch(
            f"select {SERVICE_COLUMNS} from suspender.service s"  # noqa: S608 - our own columns
            " join unnest($1::text[], $2::text[]) as k (account_id, service_id)"
            " using (account_id, service_id)",
            *key_columns(due.service.key for due in dues),
        )
        services = map(service_of, found)
        return cls(
            {row["account_id"]: account_of(row) for row in rows}, {s.key: s for s in services}
        )

    def account(self, due: DueService) -> AccountState:
        return self._accounts.get(due.service.account_id, due.account)

    def confirmation_at(self, due: DueService, now: datetime) -> datetime:
        return self._services.get(due.service.key, due.service).confirmation_at(now)

    def service(self, due: DueService) -> ServiceState | None:
        """The service as it is now; None if its desired state has changed since the batch began."""
        service = self._services.get(due.service.key)
        if service is None or service.wanted != due.service.wanted:
            return None
        return service if service.wanted_seq == due.service.wanted_seq else None


async def _confirm(
    connection: Connection, locked: _Locked, items: Sequence[ConfirmedService], now: datetime
) -> None:
    """Write and publish confirmed services, with the reason of now.

    If the desired state has changed since, no mail is due.
    """
    if not items:
        return
    rows: list[tuple[Any, ...]] = []
    times: list[tuple[Any, ...]] = []
    outgoing: list[Outgoing] = []
    for item in items:
        current = locked.service(item.due)
        account, service = locked.account(item.due), current or item.due.service
        service.proven, service.ended_calls = item.proven, item.ended_calls
        at = locked.confirmation_at(item.due, now)
        calls = "\n".join(item.ended_calls)
        state = (service.wanted, service.wanted_seq, at, item.evidence, item.proven, calls)
        rows.append((*service.key, *state))
        if item.due.service.confirmed != service.wanted:
            cause = (service.correlation_id, item.due.wanted_at, at)
            times.append((*service.key, service.wanted_seq, service.wanted, *cause))
        mail = current is not None and zero_mail_owed(account, service)
        outgoing.append(events.confirmed(account, service, item.evidence, at, mail=mail))
    await connection.execute(
        "update suspender.service s set confirmed = n.confirmed, confirmed_seq = n.seq,"
        " confirmed_at = n.at, evidence = n.evidence, proven = n.proven,"
        " ended_calls = string_to_array(n.calls, E'\\n'), attempts = 0, last_error = ''"
        " from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[],"
        " $6::text[], $7::boolean[], $8::text[])"
        " as n (account_id, service_id, confirmed, seq, at, evidence, proven, calls)"
        " where s.account_id = n.account_id and s.service_id = n.service_id"
        " and s.confirmed_seq < n.seq",
        *columns(rows),
    )
    await _note_times(connection, times)
    await enqueue(connection, SCHEMA, outgoing)
    current_keys = [item.due.service.key for item in items if locked.service(item.due)]
    subjects = [events.alarm_subject(*key) for key in current_keys]
    await end_alarms(connection, events.FAILED_ALARM, subjects, now)


async def _note_times(connection: Connection, times: Sequence[tuple[Any, ...]]) -> None:
    """Write when these switches were wanted and confirmed; a repeated one is there already."""
    if times:
        await connection.execute(
            "insert into suspender.switch_time (account_id, service_id, wanted_seq, wanted,"
            " correlation_id, wanted_at, confirmed_at) select * from unnest($1::text[],"
            " $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[],"
            " $7::timestamptz[]) on conflict do nothing",
            *columns(times),
        )


async def _fail(
    connection: Connection, locked: _Locked, items: Sequence[FailedService], now: datetime
) -> None:
    """Write the reasons and next attempts of failed services whose desired state is the same."""
    current = [item for item in items if locked.service(item.due)]
    if not current:
        return
    await connection.execute(
        "update suspender.service s set attempts = attempts + 1, last_error = n.error,"
        " next_attempt_at = n.again_at,"
        " failure_told_seq = case when n.publish then wanted_seq else failure_told_seq end"
        " from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[])"
        " as n (account_id, service_id, error, again_at, publish)"
        " where s.account_id = n.account_id and s.service_id = n.service_id",
        *columns([(*i.due.service.key, i.reason[:500], i.again_at, i.publish) for i in current]),
    )
    for item in current:
        service = locked.service(item.due)
        if service is None or not item.publish:
            continue
        event = events.failed(service, item.reason, item.due.attempts + 1, now)
        await enqueue(connection, SCHEMA, [event])
        subject = events.alarm_subject(*service.key)
        text = events.failed_alarm(locked.account(item.due), service, item.reason)
        await ALARMS.raise_alarm(connection, events.FAILED_ALARM, subject, text, now)


async def _write_records(connection: Connection, finished: BatchResult, now: datetime) -> None:
    """Confirm the records of elements that were read back as off; delete those of released ones."""
    server_id = finished.server_id
    await connection.executemany(
        "update suspender.switched_off set confirmed_at = $5, attempts = 0, last_error = '',"
        " failure_told = false where (server_id, way, tenant, element) = ($1, $2, $3, $4)",
        [(server_id, *element, now) for element in sorted(finished.off)],
    )
    await connection.executemany(
        "delete from suspender.switched_off"
        " where (server_id, way, tenant, element) = ($1, $2, $3, $4)",
        [(server_id, *element) for element in sorted(finished.released)],
    )
    done = {*finished.off, *finished.released}
    subjects = [events.element_subject(server_id, element) for element in sorted(done)]
    await end_alarms(connection, events.ELEMENT_ALARM, subjects, now)
    for item in finished.loose_failed:
        await _fail_loose(connection, item, now)


async def _fail_loose(connection: Connection, item: FailedElement, now: datetime) -> None:
    row, element = item.row, item.row.record.element
    await connection.execute(
        "update suspender.switched_off set attempts = attempts + 1, last_error = $5,"
        " next_attempt_at = $6, failure_told = failure_told or $7"
        " where (server_id, way, tenant, element) = ($1, $2, $3, $4)",
        row.server_id,
        *element,
        item.reason[:500],
        item.again_at,
        item.raises,
    )
    if item.raises:
        subject = events.element_subject(row.server_id, element)
        text = events.element_alarm(row, item.reason, off=item.off)
        await ALARMS.raise_alarm(connection, events.ELEMENT_ALARM, subject, text, now)


async def clear_element_failures(
    connection: Connection, rows: Sequence[LooseElement], now: datetime
) -> None:
    """Reset the failures of elements and end their alarms. Call it in a transaction."""
    by_server: dict[str, list[Element]] = {}
    for row in rows:
        by_server.setdefault(row.server_id, []).append(row.record.element)
    for server_id, elements in by_server.items():
        await connection.executemany(
            "update suspender.switched_off set attempts = 0, last_error = '', failure_told = false"
            " where (server_id, way, tenant, element) = ($1, $2, $3, $4)",
            [(server_id, *element) for element in sorted(elements)],
        )
        subjects = [events.element_subject(server_id, element) for element in elements]
        await end_alarms(connection, events.ELEMENT_ALARM, subjects, now)
