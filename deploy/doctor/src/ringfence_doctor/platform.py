"""Broker, database and mail server looked over: for `ringfence doctor`. Nothing is changed."""

import asyncio
import os
import smtplib
from collections.abc import Collection

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ringfence.kafka.brokers import Brokers, client_arguments
from ringfence.kafka.refusal import why_refused
from ringfence.postgres.refusal import why_refused as why_database_refuses
from ringfence_contracts.topics import wanted_topics
from ringfence_doctor.connections import database_login, kafka_connection, postgres_connection
from ringfence_doctor.finding import Finding
from ringfence_doctor.store import look

TIMEOUT_S = 10.0
SMTPS = 465
UNREADABLE = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Why a database can not be had. The messages may show the DSN, and with it a password."""


async def examine_kafka(brokers: Brokers) -> list[Finding]:
    """Whether the brokers answer and have every topic, and how connections are protected."""
    protected = list(kafka_connection(brokers))
    try:
        present = await _topics(brokers)
    except (KafkaError, OSError, ValueError) as error:
        if refused := await why_refused(brokers, TIMEOUT_S):
            return [Finding("Kafka", "reachable", "fail", *refused), *protected]
        do = f"see that Kafka runs and that {brokers} (RINGFENCE_KAFKA_BOOTSTRAP) leads to it"
        said = f"{type(error).__name__}: {error}"
        return [Finding("Kafka", "reachable", "fail", said, do), *protected]
    missing = sorted(wanted_topics().keys() - present)
    found = [Finding("Kafka", "reachable", "ok", f"answers at {brokers}"), *protected]
    if missing:
        said = f"{len(missing)} missing: {', '.join(missing[:3])}{'…' if missing[3:] else ''}"
        do = "create the topics, with the partitions and retention of docs/topics.md"
        return [*found, Finding("Kafka", "topics", "fail", said, do)]
    return [*found, Finding("Kafka", "topics", "ok", f"all {len(wanted_topics())} exist")]


async def _topics(brokers: Brokers) -> set[str]:
    """The names of all topics. Raises KafkaError, OSError, and ValueError for a wrong address."""
    timeout_ms = int(TIMEOUT_S * 1000)
    admin = AIOKafkaAdminClient(**client_arguments(brokers), request_timeout_ms=timeout_ms)
    try:
        await admin.start()
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def examine_postgres(dsn: str, migrations: Collection[str]) -> list[Finding]:
    """Whether the database answers, has these migrations, and lets us be every service's role."""
    try:
        state = await look(dsn, TIMEOUT_S)
    except UNREADABLE as error:
        do = "see that PostgreSQL runs, and that RINGFENCE_POSTGRES_DSN leads to it"
        said, do = why_database_refuses(error, dsn) or (type(error).__name__, do)
        return [Finding("PostgreSQL", "reachable", "fail", said, do)]
    found = [Finding("PostgreSQL", "reachable", "ok", f"version {state.version}")]
    found += postgres_connection(dsn, os.environ.get("PGSSLMODE") or "prefer")
    found += database_login(state.login, state.superuser)
    if missing := sorted(set(migrations) - state.migrations):
        said, do = f"not applied: {', '.join(missing)}", "apply them before the services start"
        found.append(Finding("PostgreSQL", "migrations", "fail", said, do))
    elif not state.migrations:
        do = "apply the files of deploy/migrations before the services start"
        found.append(Finding("PostgreSQL", "migrations", "fail", "none was ever applied", do))
    else:
        said = f"{len(state.migrations)} applied"
        found.append(Finding("PostgreSQL", "migrations", "ok", said))
    if state.roles_missing:
        said = f"can not act as {', '.join(state.roles_missing)}"
        do = (
            "use the operator's login (docs/secure-connections.md), or grant these roles to the"
            " DSN's user; apply deploy/migrations/0001_roles.sql where they do not exist"
        )
        return [*found, Finding("PostgreSQL", "roles", "fail", said, do)]
    return [*found, Finding("PostgreSQL", "roles", "ok", "one for each service")]


async def examine_smtp(host: str, port: int) -> list[Finding]:
    """Whether the mail server greets us. No mail is begun."""
    where = f"{host}:{port}"
    try:
        said = await asyncio.to_thread(_greet, host, port)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        do = "check RINGFENCE_NOTIFIER_SMTP_HOST and _PORT, and that this machine may connect"
        what = f"{where}: {type(error).__name__} {error}"
        return [Finding("SMTP", "reachable", "fail", what, do)]
    return [Finding("SMTP", "reachable", "ok", f"{where} {said}")]


def _greet(host: str, port: int) -> str:
    kind = smtplib.SMTP_SSL if port == SMTPS else smtplib.SMTP
    with kind(host, port, timeout=TIMEOUT_S) as server:
        code, _ = server.ehlo()
        if code != 250:
            raise smtplib.SMTPException(f"refuses EHLO with {code}")
        return "offers STARTTLS" if server.has_extn("starttls") else "greets"
