"""Checks broker, database and mail server without changing anything."""

import asyncio
import smtplib
from collections.abc import Collection
from pathlib import Path

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ringfence.clock import Clock
from ringfence.kafka.brokers import Brokers, client_arguments
from ringfence.kafka.refusal import connection_problem
from ringfence.postgres.pool import role_of
from ringfence.postgres.refusal import connection_problem as why_database_refuses
from ringfence_contracts.topics import topic_configs
from ringfence_doctor.check_result import CheckResult, CheckState, age
from ringfence_doctor.connections import database_login, kafka_connection, postgres_connection
from ringfence_doctor.store import DatabaseState, read_database_state, read_mail_alarms

TIMEOUT_S = 10.0
SMTPS = 465
MIGRATIONS = Path("deploy") / "migrations"
"""The migrations in a checkout; elsewhere only the applied ones can be reported."""

UNREADABLE = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Errors of an unavailable database. Their messages can contain the DSN with its password."""


async def examine_kafka(brokers: Brokers) -> list[CheckResult]:
    """Check that the brokers answer and have every topic, and the protection of connections."""
    protected = list(kafka_connection(brokers))
    try:
        present = await _topics(brokers)
    except (KafkaError, OSError, ValueError) as error:
        if refused := await connection_problem(brokers, TIMEOUT_S):
            return [CheckResult("Kafka", "reachable", "fail", *refused), *protected]
        action = f"see that Kafka runs and that {brokers} (RINGFENCE_KAFKA_BOOTSTRAP) leads to it"
        message = f"{type(error).__name__}: {error}"
        return [CheckResult("Kafka", "reachable", "fail", message, action), *protected]
    missing = sorted(topic_configs().keys() - present)
    found = [CheckResult("Kafka", "reachable", "ok", f"answers at {brokers}"), *protected]
    if missing:
        message = f"{len(missing)} missing: {', '.join(missing[:3])}{'…' if missing[3:] else ''}"
        action = "create the topics, with the partitions and retention of docs/topics.md"
        return [*found, CheckResult("Kafka", "topics", "fail", message, action)]
    return [*found, CheckResult("Kafka", "topics", "ok", f"all {len(topic_configs())} exist")]


async def _topics(brokers: Brokers) -> set[str]:
    """The names of all topics. Raises KafkaError, OSError, and ValueError for a wrong address."""
    timeout_ms = int(TIMEOUT_S * 1000)
    admin = AIOKafkaAdminClient(**client_arguments(brokers), request_timeout_ms=timeout_ms)
    try:
        await admin.start()
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def examine_postgres(
    dsn: str, migrations: Collection[str], *, sslmode: str = "", service: str = ""
) -> list[CheckResult]:
    """Check that the database answers, has these migrations, and allows every service's role.

    `sslmode` applies if the URL names none. `service` is the service whose login the URL has; it
    is a member of one role alone, and may not read which migrations were applied. Empty: the
    operator's login.
    """
    try:
        state = await read_database_state(dsn, TIMEOUT_S)
    except UNREADABLE as error:
        action = "see that PostgreSQL runs, and that RINGFENCE_POSTGRES_DSN leads to it"
        message, action = why_database_refuses(error, dsn) or (type(error).__name__, action)
        return [CheckResult("PostgreSQL", "reachable", "fail", message, action)]
    found = [CheckResult("PostgreSQL", "reachable", "ok", f"version {state.version}")]
    found += postgres_connection(dsn, sslmode or "prefer")
    found += database_login(state.login, state.superuser)
    return [*found, _migrations(state, migrations), _roles(state, service)]


def _migrations(state: DatabaseState, migrations: Collection[str]) -> CheckResult:
    def finding(state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult("PostgreSQL", "migrations", state, message, action)

    if state.migrations is None:
        return finding("ok", f"cannot be seen with the login {state.login}", _BY_THE_OPERATOR)
    if missing := sorted(set(migrations) - state.migrations):
        message = f"not applied: {', '.join(missing)}"
        return finding("fail", message, "apply them before the services start")
    if not state.migrations:
        action = "apply the files of deploy/migrations before the services start"
        return finding("fail", "none was ever applied", action)
    return finding("ok", f"{len(state.migrations)} applied")


def _roles(state: DatabaseState, service: str) -> CheckResult:
    if service and role_of(service) not in state.roles_missing and state.roles_missing:
        message = f"{service}'s is there; the others cannot be seen with the login {state.login}"
        return CheckResult("PostgreSQL", "roles", "ok", message, _BY_THE_OPERATOR)
    if state.roles_missing:
        message = f"cannot act as {', '.join(state.roles_missing)}"
        action = (
            "use the operator's login (docs/secure-connections.md), or grant these roles to the"
            " DSN's user; apply deploy/migrations/0001_roles.sql where they do not exist"
        )
        return CheckResult("PostgreSQL", "roles", "fail", message, action)
    return CheckResult("PostgreSQL", "roles", "ok", "one for each service")


_BY_THE_OPERATOR = "`ringfence doctor --here` with the operator's database login examines them"


async def examine_mail_alarms(dsn: str, clock: Clock) -> list[CheckResult]:
    """The notifier's open alarms about the mail server, where its address is not known."""

    def finding(state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult("SMTP", "alarms", state, message, action)

    try:
        alarms = await read_mail_alarms(dsn, TIMEOUT_S)
    except UNREADABLE as error:
        message = f"unknown: the database cannot be read ({type(error).__name__})"
        return [finding("warn", message, "see that RINGFENCE_POSTGRES_DSN leads to it")]
    found = [
        finding("fail", f"{alarm.message} (since {age(alarm.raised_at, clock.now())})",
                alarm.what_to_do)
        for alarm in alarms
    ]  # fmt: skip
    message = "the notifier has none that is open; the mail server itself was not contacted"
    action = "name it in RINGFENCE_NOTIFIER_SMTP_HOST and _PORT of cdr-ingest to have it contacted"
    return found or [finding("ok", message, action)]


async def examine_smtp(host: str, port: int) -> list[CheckResult]:
    """Check that the mail server accepts EHLO. No mail is sent."""
    where = f"{host}:{port}"
    try:
        message = await asyncio.to_thread(_greet, host, port)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        action = "check RINGFENCE_NOTIFIER_SMTP_HOST and _PORT, and that this machine may connect"
        what = f"{where}: {type(error).__name__} {error}"
        return [CheckResult("SMTP", "reachable", "fail", what, action)]
    return [CheckResult("SMTP", "reachable", "ok", f"{where} {message}")]


def _greet(host: str, port: int) -> str:
    kind = smtplib.SMTP_SSL if port == SMTPS else smtplib.SMTP
    with kind(host, port, timeout=TIMEOUT_S) as server:
        code, _ = server.ehlo()
        if code != 250:
            raise smtplib.SMTPException(f"refuses EHLO with {code}")
        return "offers STARTTLS" if server.has_extn("starttls") else "greets"
