"""`ringfence doctor`: is everything there, reachable, and allowed to us; and if not, what to do."""

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cdr_ingest.doctor import count_of, examine_servers, side_by_side
from cdr_ingest.doctor_platform import examine_kafka, examine_postgres, examine_smtp
from cdr_ingest.sources.finding import Finding
from ringfence.clock import SystemClock
from ringfence.errors import BadInput
from ringfence.pbx.servers import AnyServer, load_servers
from ringfence.place import STACK_FILE, NothingRuns, database_dsn, kafka_bootstrap

MIGRATIONS = Path("deploy") / "migrations"
"""Where a checkout has them; elsewhere only what was applied can be told."""

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--server", "only", default=None, help="This server of the servers file alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def doctor(only: str | None, as_json: bool) -> None:
    """Look over every server of the servers file, Kafka, PostgreSQL and the mail server.

    Each check is a line, with what to do where it is not well. Nothing is changed anywhere and no
    mail is sent; a FusionPBX notes each login by its key. Exit 1 if a check fails.
    """
    servers = _servers(only)
    findings = asyncio.run(_examine(servers, platform=only is None))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    if count_of(findings, "fail"):
        raise SystemExit(1)


def _servers(only: str | None) -> dict[str, AnyServer]:
    named = os.environ.get("RINGFENCE_SERVERS_FILE") or _of_stack("servers_file", "servers.toml")
    servers = load_servers(Path(named)).servers
    if only is None:
        return servers
    if only not in servers:
        raise BadInput("--server", only, f"one of {', '.join(servers)}")
    return {only: servers[only]}


async def _examine(servers: dict[str, AnyServer], *, platform: bool) -> list[Finding]:
    found = await examine_servers(servers, SystemClock())
    migrations = [path.name for path in MIGRATIONS.glob("*.sql")]
    return [*found, *await _platform(migrations)] if platform else found


async def _platform(migrations: list[str]) -> list[Finding]:
    try:
        bootstrap, dsn = kafka_bootstrap(), database_dsn()
    except NothingRuns as error:
        return [Finding("platform", "named", "fail", str(error), "as it says")]
    mail_port = _of_stack("ports", {}).get("inbox", 25)
    host = os.environ.get("RINGFENCE_NOTIFIER_SMTP_HOST", "127.0.0.1")
    port = int(os.environ.get("RINGFENCE_NOTIFIER_SMTP_PORT", mail_port))
    return await side_by_side(
        examine_kafka(bootstrap), examine_postgres(dsn, migrations), examine_smtp(host, port)
    )


def _of_stack(field: str, otherwise: Any) -> Any:
    """What the stack that runs in this folder says of itself; `otherwise` where none runs."""
    if not STACK_FILE.is_file():
        return otherwise
    return json.loads(STACK_FILE.read_text(encoding="utf-8"))[field]


def show(findings: list[Finding]) -> None:
    """One line for each check, what to do under it, and the sums."""
    width = max((len(finding.subject) for finding in findings), default=0)
    checks = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        state = click.style(f"{finding.state:4}", fg=_COLOURS[finding.state])
        click.echo(f"{state}  {finding.subject:{width}}  {finding.check:{checks}}  {finding.said}")
        if finding.do:
            click.echo(f"{'':{width + checks + 10}}→ {finding.do}")
    sums = [f"{count_of(findings, state)} {state}" for state in ("ok", "warn", "fail")]
    click.echo(", ".join(sums))
