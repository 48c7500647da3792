"""`ringfence doctor`: checks what the product depends on, and prints what to do about problems."""

import asyncio
import json
import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

import click

from cdr_ingest.settings import Settings
from ringfence import stack_file
from ringfence.clock import SystemClock
from ringfence.settings import read_settings
from ringfence.stack_file import NothingRuns, database_dsn, kafka_brokers
from ringfence_contracts.errors import BadInput
from ringfence_doctor.check_result import CheckResult
from ringfence_doctor.examinations.receiver import ReceiverAddress
from ringfence_doctor.platform import (
    TIMEOUT_S,
    UNREADABLE,
    examine_kafka,
    examine_postgres,
    examine_smtp,
)
from ringfence_doctor.products import examine_products
from ringfence_doctor.servers import ExaminationContext, count_of, examine_servers, gather_results
from ringfence_doctor.store import IngestState, read_ingest_state
from ringfence_doctor.store_products import EnteredProducts, read_products
from ringfence_pbx.servers import AnyServer, load_servers

MIGRATIONS = Path("deploy") / "migrations"
"""The migrations in a checkout; elsewhere only the applied ones can be reported."""

_WIDEST = 100
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--server", "only", default=None, help="This server of the servers file alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def doctor(only: str | None, as_json: bool) -> None:
    """Look over every server of the servers file, Kafka, PostgreSQL and the mail server.

    Each check is a line, with what to do where it is not well. Nothing is changed anywhere and no
    mail is sent; a FusionPBX notes each login by its key. Exit 1 if a check fails.
    """
    servers = _servers()
    if only is not None and only not in servers:
        raise BadInput("--server", only, f"one of {', '.join(servers)}")
    findings = asyncio.run(_examine(servers, only))
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        print_results(findings)
    if count_of(findings, "fail"):
        raise SystemExit(1)


def _servers() -> dict[str, AnyServer]:
    named = os.environ.get("RINGFENCE_SERVERS_FILE") or _stack_value("servers_file", "servers.toml")
    return load_servers(Path(named)).servers


async def _examine(servers: dict[str, AnyServer], only: str | None) -> list[CheckResult]:
    """Check all servers, products and the platform; with `only`, that server and its products."""
    examined = servers if only is None else {only: servers[only]}
    clock = SystemClock()
    context = ExaminationContext(clock, _receiver_address(), await _ingest_state(examined))
    found = await examine_servers(examined, context)
    if (entered := await _entered_products()) is not None:
        found += examine_products(servers, examined.keys(), entered, context.routes, clock)
    migrations = [path.name for path in MIGRATIONS.glob("*.sql")]
    return [*found, *await _platform(migrations)] if only is None else found


def _receiver_address() -> ReceiverAddress:
    """The address of the receiver: from the environment, or from the stack that runs here."""
    settings = read_settings(Settings)
    port = settings.cdr_ingest_push_port
    if "cdr_ingest_push_port" not in settings.model_fields_set:
        port = _stack_value("ports", {}).get("push", port)
    return ReceiverAddress(settings.cdr_ingest_push_host, port)


async def _ingest_state(servers: dict[str, AnyServer]) -> IngestState:
    try:
        return await read_ingest_state(database_dsn(), servers.keys(), TIMEOUT_S)
    except NothingRuns:
        return IngestState(unknown="no database is named")
    except UNREADABLE as error:
        return IngestState(unknown=f"the database cannot be read ({type(error).__name__})")


async def _entered_products() -> EnteredProducts | None:
    """Products and inventories; None if no database is named, which another check reports."""
    try:
        return await read_products(database_dsn(), TIMEOUT_S)
    except NothingRuns:
        return None
    except UNREADABLE as error:
        return EnteredProducts(unknown=f"the database cannot be read ({type(error).__name__})")


async def _platform(migrations: list[str]) -> list[CheckResult]:
    try:
        brokers, dsn = kafka_brokers(), database_dsn()
    except NothingRuns as error:
        return [CheckResult("platform", "named", "fail", str(error), "as it says")]
    mail_port = _stack_value("ports", {}).get("inbox", 25)
    host = os.environ.get("RINGFENCE_NOTIFIER_SMTP_HOST", "127.0.0.1")
    named = os.environ.get("RINGFENCE_NOTIFIER_SMTP_PORT", str(mail_port))
    if not named.isdecimal():
        raise BadInput("RINGFENCE_NOTIFIER_SMTP_PORT", named, "a TCP port")
    port = int(named)
    return await gather_results(
        examine_kafka(brokers), examine_postgres(dsn, migrations), examine_smtp(host, port)
    )


def _stack_value(field: str, default: Any) -> Any:
    """A field of the stack file; `default` if no stack runs in this folder."""
    return stack_file.read().get(field, default)


def print_results(findings: list[CheckResult]) -> None:
    """Print the checks of each subject, one line each, what to do about them, and the totals."""
    checks = max((len(finding.check) for finding in findings), default=0)
    indent = " " * (2 + 4 + 2 + checks + 2)
    subject = None
    for finding in findings:
        if finding.subject != subject:
            subject = finding.subject
            click.secho(subject, bold=True)
        state = click.style(f"{finding.state:4}", fg=_COLOURS[finding.state])
        click.echo(f"  {state}  {finding.check:{checks}}  {_folded(finding.message, indent)}")
        if finding.action:
            click.echo(f"{indent}→ {_folded(finding.action, indent + '  ')}")
    sums = [f"{count_of(findings, state)} {state}" for state in ("ok", "warn", "fail")]
    click.echo(", ".join(sums))


def _folded(text: str, indent: str) -> str:
    """The text wrapped to the terminal's width beside the indent; words are not broken."""
    room = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns) - len(indent)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join(lines)
