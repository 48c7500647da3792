"""`ringfence topics`: what a broker needs before the services start."""

import asyncio

import click
from aiokafka.errors import KafkaError

from ringfence.errors import RingfenceError
from ringfence.kafka.admin import create_topics
from ringfence.kafka.brokers import Bootstrap
from ringfence.kafka.refusal import BrokersRefuse, why_refused
from ringfence.settings import CommonSettings, read_settings

_CONNECT_BOUND_S = 300.0
_LOOK_EVERY_S = 1.0


@click.group()
def topics() -> None:
    """Prepare a broker: create the topics."""


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


async def _when_up(bootstrap: Bootstrap, replication: int) -> list[str]:
    while True:
        try:
            return await create_topics(bootstrap, replication)
        except (KafkaError, OSError):
            if refused := await why_refused(bootstrap):
                raise BrokersRefuse(f"{refused.said}: {refused.do}") from None
            await asyncio.sleep(_LOOK_EVERY_S)
