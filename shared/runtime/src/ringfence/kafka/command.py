"""`ringfence topics`: prepares a broker before the services start."""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
from aiokafka.errors import KafkaError

from ringfence.console.output import json_option, print_json
from ringfence.kafka.access.acls import Access, accesses, commands
from ringfence.kafka.access.granting import apply_grants
from ringfence.kafka.access.scram import set_passwords
from ringfence.kafka.admin import create_topics
from ringfence.kafka.brokers import Bootstrap, Brokers
from ringfence.kafka.refusal import BrokersRefuse, connection_problem
from ringfence.secret_files import KAFKA_LOGINS, KAFKA_PASSWORD_FILE, ensure_secret
from ringfence.settings import CommonSettings, read_settings
from ringfence_contracts.errors import RingfenceError

_CONNECT_BOUND_S = 300.0
_LOOK_EVERY_S = 1.0
SHORTEST_PASSWORD = 16
_WIDTH = 80
_CONTINUED = " \\"
T = TypeVar("T")


@click.group()
def topics() -> None:
    """Prepare a broker: create logins and topics, say what each login may do."""


@topics.command()
@click.option("--replication", type=click.IntRange(1, 9), default=1, show_default=True,
              help="copies of each record; 3 in a cluster")  # fmt: skip
@json_option
def create(replication: int, as_json: bool) -> None:
    """Create the topics that the broker lacks, with their partitions and retention.

    The broker is that of RINGFENCE_KAFKA_BOOTSTRAP. It is waited for, up to five minutes.

    Example: ringfence topics create --replication 3
    """
    bootstrap = read_settings(CommonSettings).brokers()
    try:
        made = asyncio.run(asyncio.wait_for(_when_up(bootstrap, replication), _CONNECT_BOUND_S))
    except TimeoutError:
        raise click.ClickException(
            f"no broker answered at {bootstrap} within {_CONNECT_BOUND_S:.0f} s:"
            " check RINGFENCE_KAFKA_BOOTSTRAP and that Kafka runs"
        ) from None
    except RingfenceError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print_json({"created": made})
        return
    for name in made:
        click.echo(f"created {name}")
    click.echo(f"{len(made)} topics created" if made else "all topics exist")


@topics.command()
@click.option("--commands", "as_commands", is_flag=True, help="as commands of kafka-acls.sh")
@click.option("--config", default="admin.properties", show_default=True, metavar="FILE",
              help="settings of kafka-acls.sh: the administrator's login")  # fmt: skip
@click.option("--apply", "applied", is_flag=True,
              help="grant it on the brokers, as their administrator")  # fmt: skip
@json_option
def acls(as_commands: bool, config: str, applied: bool, as_json: bool) -> None:
    """Show what the login of each service may do on brokers with access control.

    With --apply it is granted there; nothing is ever taken away. With --commands it is printed
    for a shell that has Kafka's tools. Without either, nothing but a table is printed.

    Example: ringfence topics acls --commands > acls.sh
    """
    if as_commands and applied:
        raise click.UsageError("--commands prints, --apply grants: give one of them")
    settings = read_settings(CommonSettings)
    if applied:
        brokers = settings.brokers()
        granted = _as_administrator(brokers, apply_grants(brokers))
        if as_json:
            print_json({"granted": granted})
        else:
            click.echo(f"{granted} rules are granted")
    elif as_commands:
        lines = list(commands(settings.kafka_bootstrap, config))
        if as_json:
            print_json({"commands": lines})
        else:
            click.echo("\n".join(map(_continued, lines)))
    elif as_json:
        print_json([asdict(access) for access in accesses()])
    else:
        for access in accesses():
            _show(access)


@topics.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="folder of the password files, one for each login: LOGIN/kafka-password",
)
@json_option
def logins(folder: Path, as_json: bool) -> None:
    """Have a login (SCRAM) for each service, for `operator` and for `setup`, on the brokers.

    It is done with the administrator's login in RINGFENCE_KAFKA_SASL_USER. A missing password file
    is written with a random password. What is sent is salted and hashed. Run it again after a
    change of a file. What each login may do: `ringfence topics acls`.

    Example: ringfence topics logins --folder /etc/ringfence/secrets
    """
    brokers = read_settings(CommonSettings).brokers()
    passwords = {login: _password(folder / login / KAFKA_PASSWORD_FILE) for login in KAFKA_LOGINS}
    _as_administrator(brokers, set_passwords(brokers, passwords))
    if as_json:
        print_json({"logins": list(passwords)})
        return
    for login in passwords:
        click.echo(f"login {login}")


def _password(path: Path) -> str:
    ensure_secret(path)
    password = path.read_text(encoding="utf-8").strip()
    if len(password) < SHORTEST_PASSWORD or not (password.isascii() and password.isprintable()):
        raise click.ClickException(
            f"{path}: expected a password of at least {SHORTEST_PASSWORD} printable ASCII"
            " characters in it"
        )
    return password


def _as_administrator(brokers: Brokers, work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except RingfenceError as error:
        raise click.ClickException(str(error)) from None
    except (KafkaError, OSError) as error:
        problem = asyncio.run(connection_problem(brokers))
        reason = f"{problem.message}: {problem.remedy}" if problem else f"{brokers}: {error!r}"
        raise click.ClickException(reason) from None


def _continued(command: str) -> str:
    """A command on as many lines as it needs; an option and its value stay on one."""
    lines = [""]
    for part in command.split(" --"):
        longer = f"{lines[-1]} --{part}" if lines[-1] else part
        if len(longer) + len(_CONTINUED) <= _WIDTH:
            lines[-1] = longer
        else:
            lines.append(f"    --{part}")
    return f"{_CONTINUED}\n".join(lines)


def _show(access: Access) -> None:
    click.echo(access.login)
    kinds = (
        ("reads", access.reads),
        ("writes", access.writes),
        ("groups", access.groups),
        ("sees", access.describes),
        ("watches", access.watches),
    )
    for what, names in kinds:
        for number, name in enumerate(names):
            click.echo(f"  {what if number == 0 else '':<8}{name}")


async def _when_up(bootstrap: Bootstrap, replication: int) -> list[str]:
    while True:
        try:
            return await create_topics(bootstrap, replication)
        except (KafkaError, OSError):
            if problem := await connection_problem(bootstrap):
                raise BrokersRefuse(f"{problem.message}: {problem.remedy}") from None
            await asyncio.sleep(_LOOK_EVERY_S)
