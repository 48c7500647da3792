"""What every service needs before it can work: its database and its brokers."""

from functools import partial

from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool


def need_stores(health: Health, pool: Pool, publisher: Publisher) -> None:
    """Have /ready ask both, over the connections that the service itself uses."""
    health.readiness.need("database", partial(pool.fetchval, "select 1"))
    health.readiness.need("kafka", publisher.broker_answers)
