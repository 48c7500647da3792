"""A running stack for tests that are not coroutines: it can repeat events and stop services.

The stack lives in a thread with an event loop of its own, so that a killed service is started
again while the test does something else.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer

from ringfence.kafka.publisher import make_producer
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_CHANGED,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    PAYMENT_RECEIVED,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
)
from ringfence_local.demo.sample import SampleApi, load_sample
from ringfence_local.errors import StackError
from ringfence_local.stack import Stack
from ringfence_testing.wait import PATIENCE

T = TypeVar("T")
REPEATED = (
    ACCOUNT_CHANGED, BALANCE_CHANGED, BALANCE_ZERO, BALANCE_RESTORED, PAYMENT_RECEIVED,
    SERVICE_SUSPENDED, SERVICE_RESTORED,
)  # fmt: skip
_PATIENCE_S = 60.0 * PATIENCE


class SwitchingHarness:
    """The six services, their broker and database, and the simulated FusionPBX."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.stack = Stack(folder, wanted_ports={}, environment=environment)
        self._frozen: dict[str, int] = {}
        self.objections: list[str] = []
        """The conditions that were not met in time."""

    def __enter__(self) -> "SwitchingHarness":
        self._thread.start()
        self.run(self.stack.__aenter__())
        self._api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.stack.ports['accounts']}/v1",
            headers={"Authorization": f"Bearer {self.stack.api_token}"},
            timeout=30,
            trust_env=False,
        )
        self._pbx = httpx.Client(base_url=self.stack.pbx_url, timeout=30, trust_env=False)
        self.run(self._load())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.thaw()
        self._api.close()
        self._pbx.close()
        self.run(self.stack.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the stack's event loop, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _load(self) -> None:
        async with SampleApi(self.stack) as door:
            await load_sample(door, [])

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        also: tuple[int, ...] = (),
    ) -> Any:
        """Send a request that must succeed; while the API is down, it is repeated.

        `also` are refusals that a repetition may meet, when the first answer was lost.
        """
        headers = {"Idempotency-Key": key} if key else {}
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                answer = self._api.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                assert time.monotonic() < deadline, f"no answer to {method} {path}"
                time.sleep(0.1)
                continue
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        assert answer.is_success or answer.status_code in also, f"{method} {path}: {answer.text}"
        return answer.json()

    def pbx(self, path: str, body: object) -> Any:
        """Send a control request to the simulated PBX."""
        answer = self._pbx.post(f"/_sim/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def forget_faults(self) -> None:
        """Remove all faults of the simulated PBX."""
        assert self._pbx.delete("/_sim/faults").is_success

    def pbx_state(self) -> dict[str, Any]:
        """The internal state of the simulated PBX."""
        state: dict[str, Any] = self._pbx.get("/_sim/state").json()
        return state

    def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Query the database."""
        return self.run(self._rows(query, arguments))

    async def _rows(self, query: str, arguments: tuple[object, ...]) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.stack.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    def kill(self, service: str) -> None:
        """kill -9; the supervisor starts it again."""
        self._frozen.pop(service, None)
        self._signal(service, signal.SIGKILL)

    def freeze(self, service: str) -> None:
        """SIGSTOP a service, so that it receives later events in another order."""
        self._frozen[service] = self._signal(service, signal.SIGSTOP)

    def _signal(self, service: str, number: signal.Signals) -> int:
        """Send a signal; if the service was just killed, wait until it is started again."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                pid = self.stack.supervisor.pid(service)
                os.kill(pid, number)
                return pid
            except (StackError, ProcessLookupError):
                assert time.monotonic() < deadline, f"{service} was not started again"
                time.sleep(0.1)

    def thaw(self) -> None:
        """SIGCONT all frozen services; those that were killed before they stopped are gone."""
        for pid in self._frozen.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen.clear()

    def repeat(self, account_ids: set[str], count: int, choose: random.Random) -> int:
        """Publish randomly chosen records of these accounts again, in a random order.

        So many of all, and as many of those that begin and end holds: they are few among many.
        """
        return self.run(self._repeat(account_ids, count, choose))

    async def _repeat(self, account_ids: set[str], count: int, choose: random.Random) -> int:
        records = [r for r in await self._recorded() if (r.key or b"").decode() in account_ids]
        crossings = [r for r in records if r.topic in (BALANCE_ZERO.name, BALANCE_RESTORED.name)]
        again = choose.sample(records, min(count, len(records)))
        again += choose.sample(crossings, min(count, len(crossings)))
        producer = make_producer(self.stack.bootstrap)
        await producer.start()
        try:
            for record in again:
                await producer.send_and_wait(
                    record.topic, key=record.key, value=record.value, headers=list(record.headers)
                )
        finally:
            await producer.stop()
        return len(again)

    async def _recorded(self) -> list[Any]:
        names = [topic.name for topic in REPEATED]
        consumer = AIOKafkaConsumer(
            *names, bootstrap_servers=self.stack.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            found: list[Any] = []
            while any([await consumer.position(p) < end for p, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    def until(self, condition: Callable[[], str], bound_s: float = _PATIENCE_S) -> None:
        """Wait until `condition` returns no objection; the last objection is the error."""
        deadline = time.monotonic() + bound_s
        while objection := condition():
            if time.monotonic() >= deadline:
                self.objections.append(f"not at rest after {bound_s:.0f} s: {objection}")
                raise AssertionError(self.objections[-1])
            time.sleep(0.1)
