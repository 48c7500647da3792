"""Delivers to webhooks and chat channels, at least once: a failed attempt is retried for a day.

1. The row that is due longest is claimed for a minute, and its attempt is counted. A kill here
   has sent nothing; the claim expires and the row is claimed again.
2. It is sent. A kill here leaves the claim, which expires: the delivery is sent a second time,
   with the same id, so that the receiver can drop the duplicate.
3. The outcome is saved: delivered, retried later, or failed. A kill before that is as in step 2.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from notifier.operator.store_channels import ChannelKind, ChannelStore, Delivery
from notifier.operator.webhooks import DeliveryResult
from ringfence.breaker import Breaker
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

_LEASE = timedelta(seconds=60)
_PRUNE_EVERY = timedelta(hours=1)
log = structlog.get_logger()

SendDelivery = Callable[[Delivery, datetime], Awaitable[DeliveryResult]]


@dataclass(frozen=True)
class DeliveryPolicy:
    """Retry delays in seconds: `first_s`, doubling up to `longest_s`.

    A delivery that is `give_up_after_s` old has failed.
    """

    first_s: float = 5.0
    longest_s: float = 3600.0
    give_up_after_s: float = 86_400.0

    def again_at(self, delivery: Delivery, now: datetime) -> datetime | None:
        """When the next attempt is due; None if the delivery is given up."""
        delay_s = min(self.longest_s, self.first_s * 2.0 ** min(delivery.attempts - 1, 30))
        again_at = now + timedelta(seconds=delay_s)
        given_up_at = delivery.created_at + timedelta(seconds=self.give_up_after_s)
        return None if again_at > given_up_at else again_at


class DeliveryLoop:
    """Delivers to one channel, one delivery at a time, behind a circuit breaker."""

    def __init__(
        self,
        store: ChannelStore,
        *,
        kind: ChannelKind,
        channel: str,
        send: SendDelivery,
        clock: Clock,
        progress: Progress,
        policy: DeliveryPolicy | None = None,
        breaker: Breaker | None = None,
        poll_s: float = 1.0,
    ) -> None:
        self._store = store
        self._kind = kind
        self._channel = channel
        self._send = send
        self._clock = clock
        self._progress = progress
        self._policy = policy or DeliveryPolicy()
        self._breaker = breaker or Breaker(after=3, rest_s=30.0)
        self._poll_s = poll_s

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; retry while the database is away."""
        await run_loop(
            stop,
            self.deliver_one,
            "a channel waits for the database",
            progress=self._progress,
            every_s=self._poll_s,
            full_batch=1,
        )

    async def deliver_one(self) -> bool:
        """Attempt the delivery that is due longest; False if none is due or the breaker is open."""
        if not self._breaker.allows():
            return False
        now = self._clock.now()
        delivery = await self._store.claim(self._kind, self._channel, now, _LEASE)
        if delivery is None:
            return False
        result = await self._send(delivery, now)
        if result.delivered:
            self._breaker.succeeded()
        else:
            self._breaker.failed()
        await self._save_outcome(delivery, result)
        return True

    async def _save_outcome(self, delivery: Delivery, result: DeliveryResult) -> None:
        now = self._clock.now()
        again_at = None if result.is_final else self._policy.again_at(delivery, now)
        waits = not result.delivered and again_at is not None
        state = "delivered" if result.delivered else "waiting" if waits else "failed"
        await self._store.save_outcome(
            delivery.delivery_id,
            state,  # type: ignore[arg-type] # one of its three values
            status=result.status,
            reason=result.reason,
            again_at=again_at or now,
            now=now,
        )
        write = log.info if result.delivered else log.warning
        write(
            f"{self._kind} {state}",
            channel=self._channel,
            delivery_id=str(delivery.delivery_id),
            attempts=delivery.attempts,
            status=result.status,
            reason=result.reason,
        )


class PruneLoop:
    """Deletes delivered and failed deliveries that are older than `days`."""

    def __init__(self, store: ChannelStore, *, days: int, clock: Clock, progress: Progress) -> None:
        self._store = store
        self._days = timedelta(days=days)
        self._clock = clock
        self._progress = progress
        self._next_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Prune once an hour until `stop` is set; retry while the database is away."""
        await run_loop(
            stop,
            self.prune_if_due,
            "pruning waits for the database",
            progress=self._progress,
            every_s=10.0,
        )

    async def prune_if_due(self) -> None:
        """Prune if an hour has passed since the last time."""
        now = self._clock.now()
        if self._next_at is not None and now < self._next_at:
            return
        while await self._store.prune(now - self._days):
            self._progress.turned()
        self._next_at = now + _PRUNE_EVERY
