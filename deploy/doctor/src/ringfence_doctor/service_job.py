"""The examination that cdr-ingest makes as a job, with its own logins and within its bounds."""

import os
from collections.abc import Mapping
from pathlib import Path

from cdr_ingest.settings import Settings
from ringfence.clock import SystemClock
from ringfence_contracts.errors import BadInput
from ringfence_doctor.examination import ExaminationInputs, MailServer, examine
from ringfence_doctor.examinations.receiver import ReceiverAddress
from ringfence_doctor.platform import MIGRATIONS
from ringfence_doctor.progress import ReportExamination
from ringfence_doctor.servers import ExaminationLimits
from ringfence_pbx.servers import AnyServer

LIMITS = ExaminationLimits(server_s=60.0, servers_s=75.0, at_once=8)
"""With 15 s before and after the servers for the database, less than the job's 120 s."""


async def examine_for_service(
    servers: Mapping[str, AnyServer],
    settings: Settings,
    only: str | None,
    report: ReportExamination,
) -> list[dict[str, str]]:
    """Examine as cdr-ingest; the results as JSON objects with public keys. Raises BadInput."""
    inputs = ExaminationInputs(
        servers=servers,
        receiver=ReceiverAddress(settings.cdr_ingest_push_host, settings.cdr_ingest_push_port),
        dsn=settings.postgres_dsn.get_secret_value(),
        brokers=settings.brokers(),
        mail=_mail_server(),
        migrations=_migrations(),
        sslmode=os.environ.get("PGSSLMODE", ""),
        service="cdr-ingest",
        limits=LIMITS,
    )
    found = await examine(inputs, only=only, clock=SystemClock(), report=report)
    return [result.as_json() for result in found]


def _mail_server() -> MailServer | None:
    """The notifier's mail server, where this service's environment names it too."""
    host = os.environ.get("RINGFENCE_NOTIFIER_SMTP_HOST")
    port = os.environ.get("RINGFENCE_NOTIFIER_SMTP_PORT", "25")
    if not host:
        return None
    if not port.isdecimal():
        raise BadInput("RINGFENCE_NOTIFIER_SMTP_PORT", port, "a TCP port, where cdr-ingest runs")
    return MailServer(host, int(port))


def _migrations() -> list[str]:
    """The migrations of the image, or of the checkout in which the service runs."""
    folder = Path(os.environ.get("RINGFENCE_MIGRATIONS_DIR") or MIGRATIONS)
    return [path.name for path in folder.glob("*.sql")]
