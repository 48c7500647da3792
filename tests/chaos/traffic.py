"""Sends a wave: calls into the PBX's list and as posts, each 1 to 5 times, and payments.

A sender goes on until it is answered, as FreeSWITCH and a payment page do: what is counted as
sent was accepted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from ringfence_local.errors import StackError
from ringfence_simulators.freeswitch.channel import new_channel
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings
from ringfence_testing.wait import until
from tests.chaos.planned import PlannedCall, PlannedPayment, Wave
from tests.chaos.town import PUSH_USER, ChaosTown

POSTERS = 16
"""Posts at the same time: the load is bounded."""

ACCEPTED_S = 300
_ANSWER_S = 20
_LISTED_AT_ONCE = 100
_SPREAD = 400
"""The repeated posts of a call are within so many sends of each other."""


@dataclass(frozen=True)
class _Send:
    place: float
    call: PlannedCall
    listed: bool


async def send(town: ChaosTown, wave: Wave, *, per_second: float = 0) -> None:
    """Send a wave; on return all of it was accepted. `per_second` bounds the sends, 0: does not."""
    sends = _sends(town, wave)
    paid = asyncio.create_task(_pay(town, wave.payments))
    try:
        password = town.stack.push_password_file.read_text(encoding="utf-8").strip()
        settings = ModuleSettings(
            form="json", urls=(town.stack.push_url,), cred=f"{PUSH_USER}:{password}"
        )
        async with CdrModule(settings, keep_alive=True) as module:
            await _send_all(town, module, sends, per_second)
        await paid
    finally:
        paid.cancel()
    town.sent.calls += wave.calls
    town.sent.payments += wave.payments


def _sends(town: ChaosTown, wave: Wave) -> list[_Send]:
    sends = []
    for place, call in enumerate(wave.calls):
        if call.way != "push":
            sends.append(_Send(place + town.chance.random() * _SPREAD, call, listed=True))
        for _ in range(call.posts):
            sends.append(_Send(place + town.chance.random() * _SPREAD, call, listed=False))
    return sorted(sends, key=lambda one: one.place)


async def _send_all(
    town: ChaosTown, module: CdrModule, sends: Sequence[_Send], per_second: float
) -> None:
    free = asyncio.Semaphore(POSTERS)
    ends: dict[str, int] = {}
    listed: list[PlannedCall] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number, one in enumerate(sends):
            if per_second:
                await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            ends_at = ends.setdefault(one.call.uuid, int(time.time()))
            if one.listed:
                listed.append(one.call)
                if len(listed) >= _LISTED_AT_ONCE:
                    await _list(town, listed, ends)
                    listed = []
            else:
                await free.acquire()
                group.create_task(_post(town, module, one.call, ends_at, free))
            if number and number % 10_000 == 0:
                town.say(f"{number:,} of {len(sends):,} sends, {town.kills} kills")
        await _list(town, listed, ends)


async def _list(town: ChaosTown, calls: Sequence[PlannedCall], ends: dict[str, int]) -> None:
    if calls:
        specs = [call.spec(ends[call.uuid]) for call in calls]
        await _accepted(lambda: _placed(town, specs), "the PBX lists calls")


async def _placed(town: ChaosTown, specs: list[dict[str, object]]) -> bool:
    await town.harness.door.pbx("calls", specs)
    return True


async def _post(
    town: ChaosTown, module: CdrModule, call: PlannedCall, ends_at: int, free: asyncio.Semaphore
) -> None:
    channel = new_channel(call.spec(ends_at))

    async def taken() -> bool:
        try:
            return await asyncio.wait_for(module.report(channel), _ANSWER_S)
        except TimeoutError:
            return False

    try:
        await _accepted(taken, "a post is accepted")
        town.sent.posts += 1
    finally:
        free.release()


async def _pay(town: ChaosTown, payments: Sequence[PlannedPayment]) -> None:
    for payment in payments:
        for _ in range(payment.times):
            await _accepted(partial(_paid, town, payment), "a payment is accepted")


async def _paid(town: ChaosTown, payment: PlannedPayment) -> bool:
    whole, part = divmod(payment.amount_micro, 1_000_000)
    await town.harness.door.top_up(payment.account_id, f"{whole}.{part:06d}", payment.key)
    return True


async def _accepted(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until it is accepted: who is asked may be down."""

    async def answered() -> bool:
        try:
            return await ask()
        except (httpx.TransportError, StackError, OSError):
            return False

    await until(answered, timeout_s=ACCEPTED_S, every_s=0.2, what=what)
