"""The examination from this machine, without the API: what to examine is found here.

`ringfence doctor --here` uses it: when nothing runs yet, or with the operator's database login.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from cdr_ingest.settings import Settings
from ringfence import stack_file
from ringfence.clock import SystemClock
from ringfence.settings import read_settings
from ringfence.stack_file import NothingRuns, database_dsn, kafka_brokers
from ringfence_contracts.errors import BadInput
from ringfence_doctor.examination import ExaminationInputs, MailServer, examine
from ringfence_doctor.examinations.receiver import ReceiverAddress
from ringfence_doctor.platform import MIGRATIONS
from ringfence_doctor.progress import ReportExamination, report_nothing
from ringfence_pbx.servers import load_servers


def examine_here(
    only: str | None, report: ReportExamination = report_nothing
) -> list[dict[str, str]]:
    """Examine from this machine; the results as JSON objects with public keys.

    The servers file is that of RINGFENCE_SERVERS_FILE, of the stack that runs in this folder, or
    servers.toml. With `only`, that server and its products. Raises BadInput.
    """
    inputs = _inputs()
    found = asyncio.run(examine(inputs, only=only, clock=SystemClock(), report=report))
    return [result.as_json() for result in found]


def _inputs() -> ExaminationInputs:
    named = os.environ.get("RINGFENCE_SERVERS_FILE") or _stack_value("servers_file", "servers.toml")
    servers = load_servers(Path(named)).servers
    unnamed, dsn, brokers = "", None, None
    try:
        dsn = database_dsn()
        brokers = kafka_brokers()
    except NothingRuns as error:
        unnamed = str(error)
    return ExaminationInputs(
        servers=servers,
        receiver=_receiver_address(),
        dsn=dsn,
        brokers=brokers,
        mail=_mail_server(),
        unnamed=unnamed,
        migrations=[path.name for path in MIGRATIONS.glob("*.sql")],
        sslmode=os.environ.get("PGSSLMODE", ""),
    )


def _receiver_address() -> ReceiverAddress:
    """The address of the receiver: from the environment, or from the stack that runs here."""
    settings = read_settings(Settings)
    port = settings.cdr_ingest_push_port
    if "cdr_ingest_push_port" not in settings.model_fields_set:
        port = _stack_value("ports", {}).get("push", port)
    return ReceiverAddress(settings.cdr_ingest_push_host, port)


def _mail_server() -> MailServer:
    """The mail server: from the notifier's settings, or from the stack that runs here."""
    mail_port = _stack_value("ports", {}).get("inbox", 25)
    host = os.environ.get("RINGFENCE_NOTIFIER_SMTP_HOST", "127.0.0.1")
    named = os.environ.get("RINGFENCE_NOTIFIER_SMTP_PORT", str(mail_port))
    if not named.isdecimal():
        raise BadInput("RINGFENCE_NOTIFIER_SMTP_PORT", named, "a TCP port")
    return MailServer(host, int(named))


def _stack_value(field: str, default: Any) -> Any:
    """A field of the stack file; `default` if no stack runs in this folder."""
    return stack_file.read().get(field, default)
