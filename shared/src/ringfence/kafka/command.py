"""`ringfence topics`: what a broker needs before the services start."""

import asyncio

import click
from aiokafka.errors import KafkaError

from ringfence.errors import RingfenceError
from ringfence.kafka.acls import accesses, commands
from ringfence.kafka.admin import create_topics
from ringfence.kafka.brokers import Bootstrap
from ringfence.kafka.refusal import BrokersRefuse, why_refused
from ringfence.settings import CommonSettings, read_settings

_CONNECT_BOUND_S = 300.0
_LOOK_EVERY_S = 1.0


@click.group()
def topics() -> None:
    """Prepare a broker: create the topics, show what each login may do."""


@topics.command()
@click.option("--replication", type=click.IntRange(1, 9), default=1, show_default=True,
              help="copies of each record; 3 in a cluster")  # fmt: skip
def create(replication: int) -> None:
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
    for name in made:
        click.echo(f"created {name}")
    click.echo(f"{len(made)} topics created" if made else "all topics exist")


@topics.command()
@click.option("--commands", "as_commands", is_flag=True, help="as commands of kafka-acls.sh")
@click.option("--config", default="admin.properties", show_default=True, metavar="FILE",
              help="settings of kafka-acls.sh: the administrator's login")  # fmt: skip
def acls(as_commands: bool, config: str) -> None:
    """Show what the login of each service may do on brokers with access control.

    Nothing is changed: pass the commands to a shell that has Kafka's tools.

    Example: ringfence topics acls --commands > acls.sh
    """
    if as_commands:
        bootstrap = read_settings(CommonSettings).kafka_bootstrap
        for line in commands(bootstrap, config):
            click.echo(line)
        return
    for access in accesses():
        click.echo(access.login)
        for what, names in (
            ("reads", access.reads), ("writes", access.writes), ("groups", access.groups),
        ):  # fmt: skip
            for number, name in enumerate(names):
                click.echo(f"  {what if number == 0 else '':<8}{name}")


async def _when_up(bootstrap: Bootstrap, replication: int) -> list[str]:
    while True:
        try:
            return await create_topics(bootstrap, replication)
        except (KafkaError, OSError):
            if refused := await why_refused(bootstrap):
                raise BrokersRefuse(f"{refused.said}: {refused.do}") from None
            await asyncio.sleep(_LOOK_EVERY_S)
