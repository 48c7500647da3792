"""`ringfence up`: the product on one machine, for the operator's own PBXs."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from shlex import quote
from socket import gaierror

import asyncpg
import click
from aiokafka.errors import KafkaError

from ringfence.postgres.refusal import DSN, PASSWORD_FILE, DatabaseRefuses
from ringfence_contracts.errors import BadInput
from ringfence_local import compiled
from ringfence_local.errors import StackError
from ringfence_local.processes.log_rotation import logs_of, rotate
from ringfence_local.processes.stopping import done_before, stop_on_signals, stopped_within
from ringfence_local.up.environment_notes import kafka_line, postgres_line
from ringfence_local.up.own_stack import FOLDER, PUSH_PORT, WANTED_PORTS, OwnStack
from ringfence_local.up.servers_check import servers_with_secrets
from ringfence_local.up.systemd_units import Installation, unit_files, write_units
from ringfence_pbx.servers import Servers

_LOOK_EVERY_S = 2.0


@click.command()
@click.option(
    "--servers",
    "servers_file",
    type=click.Path(path_type=Path),
    default=Path("servers.toml"),
    envvar="RINGFENCE_SERVERS_FILE",
    show_default=True,
    help="Your servers file, docs/servers.md (or RINGFENCE_SERVERS_FILE). It is never written.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Where the state is kept from start to start.  [default: {FOLDER}]  With --systemd:"
    " where the units are written.",
)
@click.option(
    "--default-mode",
    type=click.Choice(["shadow", "live"]),
    default="shadow",
    envvar="RINGFENCE_ACCOUNTS_DEFAULT_MODE",
    show_default=True,
    help="The mode of clients that are created from now on.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    envvar="RINGFENCE_ACCOUNTS_PORT",
    help="TCP port of the API, exactly. Without it: 8080 or a free one, the same at each start.",
)
@click.option(
    "--console-port",
    type=click.IntRange(1, 65535),
    envvar="RINGFENCE_CONSOLE_PORT",
    help="TCP port of the web pages, exactly. Without it: 8081 or a free one, as for --port.",
)
@click.option(
    "--push-port",
    type=click.IntRange(1, 65535),
    default=PUSH_PORT,
    envvar="RINGFENCE_CDR_INGEST_PUSH_PORT",
    show_default=True,
    help="TCP port, exactly, to which servers with `push` in the file post calls.",
)
@click.option(
    "--logins",
    type=click.Path(path_type=Path, file_okay=False),
    help="With RINGFENCE_POSTGRES_DSN, whose user may create logins then: a folder for the"
    " passwords of one login for each service. The embedded database has them anyway.",
)
@click.option(
    "--systemd",
    is_flag=True,
    help="Start nothing: print systemd units, or write them into --folder, over no other file.",
)
def up(
    servers_file: Path,
    folder: Path | None,
    default_mode: str,
    port: int | None,
    console_port: int | None,
    push_port: int,
    logins: Path | None,
    systemd: bool,
) -> None:
    """Run the product on this machine for your own PBXs, until Ctrl-C or SIGTERM.

    Starts Kafka and PostgreSQL (or uses those of RINGFENCE_KAFKA_BOOTSTRAP and
    RINGFENCE_POSTGRES_DSN), the six services and the console. New clients are in shadow: calls are
    rated and balances move, nothing is switched on a PBX and no client gets a mail. Mail goes by
    the SMTP server of RINGFENCE_NOTIFIER_SMTP_HOST.

    Example: ringfence up --servers servers.toml
    """
    try:
        if systemd:
            here = Installation(
                servers_file.absolute(), default_mode, port or WANTED_PORTS["accounts"], push_port,
                console_port or WANTED_PORTS["console"],
            )  # fmt: skip
            _show_units(here, folder)
            return
        _refuse_settings(os.environ)
        servers = servers_with_secrets(servers_file)
        stack = OwnStack(
            folder or FOLDER, servers_file, servers,
            default_mode=default_mode, port=port, console_port=console_port, push_port=push_port,
            logins=logins,
        )  # fmt: skip
        asyncio.run(_up(stack, servers, default_mode))
    except (BadInput, StackError, DatabaseRefuses) as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        raise click.ClickException(
            f"Kafka: {error or type(error).__name__}. Check RINGFENCE_KAFKA_BOOTSTRAP."
        ) from None
    except (asyncpg.PostgresError, ConnectionError, TimeoutError, gaierror) as error:
        raise click.ClickException(
            f"PostgreSQL: {error or type(error).__name__}. Check RINGFENCE_POSTGRES_DSN."
        ) from None


def _show_units(here: Installation, folder: Path | None) -> None:
    """Print or write the units, and print the next steps to standard error."""
    files = unit_files(replace(here, compiled=compiled.current()))
    if folder is None:
        for name, text in files.items():
            click.echo(f"# --- {name}\n{text}")
    else:
        written = write_units(folder, files)
        for path in written:
            click.echo(f"wrote {path}")
        click.echo(f"{len(written)} files written, {len(files) - len(written)} kept as they are")
    for path in here.homes:
        click.echo(f"{path} is in a home: the user ringfence must be able to read it.", err=True)
    click.echo('Next: docs/up.md, "As services of systemd".', err=True)


def _refuse_settings(environment: Mapping[str, str]) -> None:
    """Raises BadInput for settings that a stack on one machine does not support."""
    path = environment.get(PASSWORD_FILE)
    if path and not environment.get(DSN):
        raise BadInput(
            PASSWORD_FILE, path, f"{DSN} with it: the embedded database has logins of its own"
        )
    protocol = environment.get("RINGFENCE_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    if protocol != "PLAINTEXT" and not environment.get("RINGFENCE_KAFKA_BOOTSTRAP"):
        raise BadInput(
            "RINGFENCE_KAFKA_SECURITY_PROTOCOL",
            protocol,
            "RINGFENCE_KAFKA_BOOTSTRAP with it: the embedded Kafka speaks PLAINTEXT on loopback",
        )


async def _up(stack: OwnStack, servers: Servers, default_mode: str) -> None:
    stop = stop_on_signals()
    began = time.monotonic()
    click.echo("Starting Kafka, PostgreSQL and the services…")
    async with AsyncExitStack() as up:
        if await done_before(stop, up.enter_async_context(stack)):
            click.echo(f"Up in {time.monotonic() - began:.1f} s.")
            for line in _summary_lines(stack, servers, default_mode):
                click.echo(line)
            await _report_restarts_until(stack, stop)
        click.echo("Stopping…")
    click.echo(f"Stopped. The state is kept in {stack.folder}.")


async def _report_restarts_until(stack: OwnStack, stop: asyncio.Event) -> None:
    """Report each restart of a service or server, and rotate the logs, until `stop` is set."""
    before: dict[str, int] = {}
    while not await stopped_within(stop, _LOOK_EVERY_S):
        while stack.notes:
            click.echo(stack.notes.popleft())
        for name, child in stack.supervisor.children.items():
            if child.restart_count != before.get(name, 0):
                before[name] = child.restart_count
                click.echo(f"{child.line()}; see {stack.supervisor.log(name)}")
        await asyncio.to_thread(_rotate_logs, stack.folder)


def _rotate_logs(folder: Path) -> None:
    try:
        for log in logs_of(folder):
            rotate(log)
    except OSError as error:  # such as a full disk: the services go on, and rotation is retried
        click.echo(f"{error.filename}: not rotated ({error.strerror})", err=True)


def _summary_lines(stack: OwnStack, servers: Servers, default_mode: str) -> Iterator[str]:
    """The lines with all addresses, the mode and the next steps."""
    kinds = ", ".join(f"{name} ({server.kind})" for name, server in servers.servers.items())
    host = os.environ.get("RINGFENCE_NOTIFIER_SMTP_HOST")
    mail = f"by {host}" if host else "by 127.0.0.1; set RINGFENCE_NOTIFIER_SMTP_HOST to another"
    yield f"  console     {stack.console_url}"
    yield f"  API         {stack.api_url}/v1"
    yield f"  tokens      {stack.tokens_file} (name:token)"
    yield f"  servers     {stack.servers_file}: {kinds}"
    if push := stack.ports.get("push"):
        yield f"  posts       port {push}, from servers with push"
    yield f"  Kafka       {kafka_line(os.environ, stack.bootstrap)}"
    yield f"  PostgreSQL  {postgres_line(os.environ, stack.dsn)}"
    yield f"  mail        {mail}"
    yield f"  state       {stack.folder}, logs in {stack.folder / 'logs'}"
    yield from _mode_lines(default_mode)
    yield "Next, in another terminal, with the same RINGFENCE_* variables, in this folder:"
    if stack.folder != FOLDER.absolute():
        yield f"  export RINGFENCE_STACK={quote(str(stack.folder))}"
    first = next(iter(servers.servers))
    yield "  ringfence operator create NAME --scope admin   somebody who logs in at the console"
    yield "  ringfence doctor                     is every server reachable, is all allowed?"
    yield f"  ringfence server inventory {first}     what the server has"
    yield f"  ringfence server propose {first}       products for it, as commands to look over"
    yield "  ringfence mode                       who would be off now"
    yield "  ringfence mode live --all            when that is right: begin to switch"


def _mode_lines(default_mode: str) -> Iterator[str]:
    if default_mode == "shadow":
        yield "Shadow: new clients are rated and watched; no PBX is switched and no client mailed."
        yield "A client that `ringfence mode live` has set live stays live."
    else:
        yield "LIVE: new clients are switched off on the PBX and mailed when their money is gone."
