"""The whole examination: servers, products, brokers, database and mail server.

Everything is given to it: it reads no stack file, no servers file and no variable, so that the
command and cdr-ingest examine the same way.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ringfence.clock import Clock
from ringfence.kafka.brokers import Brokers
from ringfence_contracts.errors import BadInput
from ringfence_doctor.check_result import CheckResult
from ringfence_doctor.examinations.dialled_numbers import HomePlan, examine_dialled
from ringfence_doctor.examinations.receiver import ReceiverAddress
from ringfence_doctor.platform import (
    TIMEOUT_S,
    UNREADABLE,
    examine_kafka,
    examine_mail_alarms,
    examine_postgres,
    examine_smtp,
)
from ringfence_doctor.products.checks import examine_products
from ringfence_doctor.products.store import EnteredProducts, read_products
from ringfence_doctor.progress import ExaminationProgress, ReportExamination, report_nothing
from ringfence_doctor.redaction import passwords_of, presentable, secrets_of
from ringfence_doctor.servers import (
    ExaminationContext,
    ExaminationLimits,
    examine_servers,
    gather_results,
)
from ringfence_doctor.store import IngestState, read_ingest_state
from ringfence_pbx.servers import AnyServer

READ_S = 15.0
"""The time limit for what is read from the database before and after the servers."""

PLATFORM_S = 60.0
"""The time limit for brokers, database and mail server, each."""


@dataclass(frozen=True)
class MailServer:
    """The address of the mail server."""

    host: str
    port: int


@dataclass(frozen=True)
class ExaminationInputs:
    """What is examined, and by which logins.

    `dsn` and `brokers` None: not known, which is reported as `unnamed`. `mail` None: the mail
    server is not known, so the notifier's alarms are reported in its place. `migrations` are the
    files that must have been applied. `service`: whose login `dsn` has; empty for the operator's.
    """

    servers: Mapping[str, AnyServer]
    receiver: ReceiverAddress
    dsn: str | None
    brokers: Brokers | None
    mail: MailServer | None
    unnamed: str = ""
    migrations: Collection[str] = ()
    sslmode: str = ""
    service: str = ""
    limits: ExaminationLimits = field(default_factory=ExaminationLimits)

    def secrets(self) -> list[str]:
        """Every secret that must be in no result."""
        found = list(secrets_of(self.servers))
        if self.dsn is not None:
            found += passwords_of(self.dsn)
        if self.brokers is not None:
            found.append(self.brokers.password)
        return found


async def examine(
    inputs: ExaminationInputs,
    *,
    only: str | None = None,
    clock: Clock,
    report: ReportExamination = report_nothing,
) -> list[CheckResult]:
    """Examine everything; with `only`, that server and its products.

    Changes nothing. The results hold no secret. Raises BadInput if `only` is none of the servers.
    """
    if only is not None and only not in inputs.servers:
        raise BadInput("server", only, f"one of {', '.join(inputs.servers)}")
    examined = inputs.servers if only is None else {only: inputs.servers[only]}
    parts = _platform(inputs, clock) if only is None else {}
    progress = ExaminationProgress(len(examined) + len(parts), report)
    platform = asyncio.create_task(_examine_platform(parts, progress))
    try:
        found = await _examine_servers(inputs, examined, clock, progress)
        found += await platform
    finally:
        platform.cancel()
    return presentable(found, inputs.secrets())


async def _examine_servers(
    inputs: ExaminationInputs,
    examined: Mapping[str, AnyServer],
    clock: Clock,
    progress: ExaminationProgress,
) -> list[CheckResult]:
    """The checks of the servers, and those of the products on them."""
    ingest_state = await _ingest_state(inputs.dsn, examined)
    context = ExaminationContext(clock, inputs.receiver, ingest_state)
    found = await examine_servers(examined, context, inputs.limits, progress)
    if (entered := await _entered_products(inputs.dsn)) is not None:
        for server_id, dialled in ingest_state.dialled.items():
            if examined[server_id].kind == "fusionpbx":
                found += examine_dialled(server_id, dialled, _home_plan(server_id, entered))
        found += examine_products(inputs.servers, examined.keys(), entered, context.routes, clock)
    return found


def _home_plan(server_id: str, entered: EnteredProducts) -> HomePlan:
    """How the products of a server write numbers; without products, as in North America."""
    here = [p.service for p in entered.products if p.service.server_id == server_id]
    plans = [service.package for service in here if service.package is not None]
    if not plans:
        return HomePlan()
    return HomePlan({plan.country_code for plan in plans}, {plan.strip_prefix for plan in plans})


async def _ingest_state(dsn: str | None, servers: Mapping[str, AnyServer]) -> IngestState:
    if dsn is None:
        return IngestState(unknown="no database is named")
    try:
        async with asyncio.timeout(READ_S):
            return await read_ingest_state(dsn, servers.keys(), TIMEOUT_S)
    except UNREADABLE as error:
        return IngestState(unknown=f"the database cannot be read ({type(error).__name__})")


async def _entered_products(dsn: str | None) -> EnteredProducts | None:
    """Products and inventories; None if no database is named, which another check reports."""
    if dsn is None:
        return None
    try:
        async with asyncio.timeout(READ_S):
            return await read_products(dsn, TIMEOUT_S)
    except UNREADABLE as error:
        return EnteredProducts(unknown=f"the database cannot be read ({type(error).__name__})")


_Part = Callable[[], Coroutine[Any, Any, list[CheckResult]]]


def _platform(inputs: ExaminationInputs, clock: Clock) -> Mapping[str, _Part]:
    """The checks that are not of a server, by the subject of their results."""
    if inputs.brokers is None or inputs.dsn is None:
        return {"platform": partial(_not_named, inputs.unnamed)}
    dsn, mail = inputs.dsn, inputs.mail
    postgres = partial(
        examine_postgres, dsn, inputs.migrations, sslmode=inputs.sslmode, service=inputs.service
    )
    return {
        "Kafka": partial(examine_kafka, inputs.brokers),
        "PostgreSQL": postgres,
        "SMTP": (
            partial(examine_mail_alarms, dsn, clock)
            if mail is None
            else partial(examine_smtp, mail.host, mail.port)
        ),
    }


async def _not_named(reason: str) -> list[CheckResult]:
    return [CheckResult("platform", "named", "fail", reason, "as it says")]


async def _examine_platform(
    parts: Mapping[str, _Part], progress: ExaminationProgress
) -> list[CheckResult]:
    async def bounded(subject: str, part: _Part) -> list[CheckResult]:
        with progress.part(subject):
            try:
                async with asyncio.timeout(PLATFORM_S):
                    return await part()
            except TimeoutError:
                message = f"not all checks were made within {PLATFORM_S:g} s"
                return [CheckResult(subject, "patience", "fail", message, "see why it is so slow")]

    return await gather_results(*(bounded(subject, part) for subject, part in parts.items()))
