"""Builds the loop of a service from its declaration."""

from ringfence.anti_entropy.broker import KafkaView
from ringfence.anti_entropy.loop import STALL_S, AntiEntropy, Owner
from ringfence.anti_entropy.store import CopyStore
from ringfence.clock import SystemClock
from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool
from ringfence.settings import CommonSettings


def anti_entropy_of(
    owner: Owner, settings: CommonSettings, pool: Pool, publisher: Publisher, health: Health
) -> AntiEntropy:
    """The loop, on the connections of the service."""
    return AntiEntropy(
        owner,
        store=CopyStore(pool, owner.alarms.schema),
        publisher=publisher,
        broker=KafkaView(settings.brokers()),
        clock=SystemClock(),
        progress=health.loop("anti-entropy", stall_s=STALL_S),
        every_s=settings.anti_entropy_s,
    )
