"""Ends Vodia's calls in progress one by one, except those that may be emergency calls.

The names of a live call's fields are not documented. So every field except times and ids is
searched for an emergency number, and a call without a recognisable far side is not ended.
"""

import asyncio
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import structlog

from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.emergency import names_emergency
from ringfence_pbx.errors import Refused
from ringfence_pbx.vodia.api import VodiaApi, VodiaCall
from suspender.drivers.driver import HungUp, OperatorMustAct

_NO_SIDE = re.compile(
    r"id$|time|start|since|connect|dur|second|date|age$|port$|codec|state|status|direction|type",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"sips?:([^@;>]+)", re.IGNORECASE)
_ROUNDS = 8
_PAUSE_S = 0.25
"""A call that was hung up may be listed until the telephones have answered."""

log = structlog.get_logger()


class _Ended(NamedTuple):
    """The result for the calls of one extension."""

    ended: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    failure: Retry | OperatorMustAct | None = None


class VodiaCalls:
    """The calls in progress of one PBX's extensions."""

    def __init__(self, server_id: str, api: VodiaApi) -> None:
        self._server_id = server_id
        self._api = api

    async def hang_up(self, tenant: str, extensions: Collection[str]) -> HungUp:
        """End the calls of these extensions; a failure of one does not affect the others.

        Raises Retry when the PBX does not answer or a call goes on, OperatorMustAct when it
        refuses.
        """
        tasks = [asyncio.create_task(self._hang_up_of(tenant, e)) for e in sorted(extensions)]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        ended = tuple(call for one in found for call in one.ended)
        failures = [one.failure for one in found if one.failure is not None]
        if failures:
            log.warning("calls go on", server_id=self._server_id, ended=shown(ended, 300))
            raise failures[0]
        return HungUp(ended, tuple(call for one in found for call in one.excluded))

    async def _hang_up_of(self, tenant: str, extension: str) -> "_Ended":
        try:
            return await self._end_all(tenant, extension)
        except Refused as error:
            return _Ended(failure=OperatorMustAct(str(error)))

    async def _end_all(self, tenant: str, extension: str) -> "_Ended":
        """List, end what may be ended, and list again: a call may have changed in between."""
        hung_up: dict[str, str] = {}
        calls: list[VodiaCall] = []
        for turn in range(_ROUNDS):
            calls = await self._api.live_calls(tenant, extension) or []
            going_on = [call for call in calls if not _is_excluded(call, extension)]
            if not going_on:
                break
            for call in going_on:
                # Repeated halfway: the first request may have had no effect.
                if call.id not in hung_up or turn == _ROUNDS // 2:
                    hung_up[call.id] = _named(call, extension)
                    await self._end(tenant, extension, call.id)
            await asyncio.sleep(_PAUSE_S)
        listed = {call.id: call for call in calls}
        excluded = [_named(call, extension) for call in calls if _is_excluded(call, extension)]
        ended = tuple(name for call_id, name in hung_up.items() if call_id not in listed)
        left = hung_up.keys() & listed.keys()
        failure = None
        if remaining := sorted(hung_up[i] for i in left if not _is_excluded(listed[i], extension)):
            names = shown(", ".join(remaining), 300)
            failure = Retry(f"{self._server_id}: calls go on after being hung up: {names}")
        return _Ended(ended, tuple(excluded), failure)

    async def _end(self, tenant: str, extension: str, call_id: str) -> None:
        try:
            await self._api.hang_up(tenant, extension, call_id)
        except Refused as error:
            # It may have ended by itself: the next list shows it.
            log.info("hanging up was refused", server_id=self._server_id, reason=str(error))


def _is_excluded(call: VodiaCall, extension: str) -> bool:
    sides = list(_sides(call))
    return any(map(names_emergency, sides)) or _far_side(sides, extension) is None


def _sides(call: VodiaCall) -> Iterator[str]:
    for name, value in call.fields.items():
        if not _NO_SIDE.search(name) and value not in (None, ""):
            yield str(value)


def _far_side(sides: Collection[str], extension: str) -> str | None:
    """The number of the far side; None if none is shown."""
    for side in sides:
        found = _ADDRESS.search(side)
        number = (found[1] if found else side).strip()
        if any(char.isdigit() for char in number) and number != extension:
            return number[:60]
    return None


def _named(call: VodiaCall, extension: str) -> str:
    number = _far_side(list(_sides(call)), extension)
    return f"{extension} -> {number or f'call {call.id[:60]}'}"
