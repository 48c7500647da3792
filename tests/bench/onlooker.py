"""What is seen from the outside: records on topics, and what changes at the PBX; calls behind.

All instants are Unix seconds of this machine's clock, which all parts share.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer
from load import calls
from town import Town

from ringfence_contracts.topics import (
    BALANCE_LOW,
    BALANCE_ZERO,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    Topic,
)
from ringfence_testing.wait import PATIENCE, until

TOPICS = (BALANCE_LOW, BALANCE_ZERO, SERVICE_SUSPENDED, SERVICE_RESTORED)
_LOOK_EVERY_S = 0.1
_TICK_S = 0.01


async def seen_within(bound_s: float, condition: Callable[[], object]) -> None:
    """Wait for a condition. When it is not met within the bound, what is there is all there is."""
    with suppress(AssertionError):
        await until(condition, timeout_s=bound_s / PATIENCE, every_s=_LOOK_EVERY_S)


class Sight(NamedTuple):
    """A record of an account: when it was published, and when it was read here."""

    published_at: float
    read_at: float


class Onlooker:
    """The newest of each topic by account, and the newest change of each element of the PBX.

    `off_at` and `on_at` are by the element's uuid: a gateway's are those of the switch itself,
    an extension's those of its flag.
    """

    def __init__(self, town: Town) -> None:
        self._town = town
        self._tasks: list[asyncio.Task[None]] = []
        self.seen: dict[str, dict[str, Sight]] = {topic.name: {} for topic in TOPICS}
        self.off_at: dict[str, float] = {}
        self.on_at: dict[str, float] = {}

    async def __aenter__(self) -> "Onlooker":
        self._consumer: Any = AIOKafkaConsumer(
            *(topic.name for topic in TOPICS),
            bootstrap_servers=self._town.bed.stack.bootstrap,
            fetch_max_wait_ms=5,
        )
        await self._consumer.start()
        await self._consumer.seek_to_end()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._watch())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._consumer.stop()

    def of(self, topic: Topic, account_id: str, after: float) -> Sight | None:
        """The newest record of an account, if it was published after an instant."""
        sight = self.seen[topic.name].get(account_id)
        return sight if sight and sight.published_at >= after else None

    async def _read(self) -> None:
        async for record in self._consumer:
            account_id = orjson.loads(record.value)["account_id"]
            self.seen[record.topic][account_id] = Sight(record.timestamp / 1000, time.time())

    async def _watch(self) -> None:
        after = 0
        while True:
            for change in await self._town.pbx("GET", f"changes?after={after}"):
                after = change["number"]
                self._note(change)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _note(self, change: dict[str, Any]) -> None:
        """A gateway's flag says nothing of the switch; an extension has no other."""
        uuid, is_gateway = change["uuid"], change["uuid"] in self._town.gateways
        if is_gateway == (change["what"] == "live"):
            (self.on_at if change["value"] else self.off_at)[uuid] = change["at"]


class Background:
    """Calls of clients that nobody switches, put on the topic at a steady rate meanwhile."""

    def __init__(self, town: Town, accounts: Sequence[str], rate: int) -> None:
        self._town = town
        self._accounts = accounts
        self._rate = rate
        self._task: asyncio.Task[None] | None = None
        self.sent = 0

    async def __aenter__(self) -> "Background":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        source = calls(f"b{time.time_ns()}", self._accounts, 10**9)
        began, due = time.monotonic(), 0.0
        while True:
            due += self._rate * _TICK_S
            batch = list(islice(source, int(due) - self.sent))
            if batch:
                await self._town.bed.publisher.publish(batch)
                self.sent += len(batch)
            pause_s = began + due / self._rate - time.monotonic()
            await asyncio.sleep(max(0.0, pause_s))
