"""Ends the live calls of a product's extensions, except emergency calls.

Each leg is ended by its uuid. `hupall` is never sent: it would end all calls of a domain, including
emergency calls.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.calls import (
    CALLS,
    FRAME,
    HANG_UP,
    CallsPage,
    LiveChannel,
    offers_all_tenants,
    read_calls,
)
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from suspender.drivers.driver import HungUp, OperatorMustAct
from suspender.drivers.fusionpbx.sessions import Sessions
from suspender.wording import listed

CHECKS = 8
PAUSE_S = 0.25
"""A leg that was ended may be listed until the telephones have answered."""
_END = "</form>"


class Calls:
    """The live calls of one server."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._pages: dict[FusionPbxSession, _SharedPage] = {}

    async def hang_up(self, product: Service, extensions: Collection[str]) -> HungUp:
        """See `PbxDriver.hang_up`. Concurrent callers share one reading of the page."""
        tenant = product.tenant.lower()
        if not extensions:
            return HungUp()
        session = self._sessions.own(tenant)
        page = self._pages.setdefault(session, _SharedPage(session))
        if not self._sessions.server.all_tenants or await page.shows_all_tenants():
            return await _hang_up(page, tenant, extensions)
        async with self._sessions.within(tenant) as inside:
            return await _hang_up(_SharedPage(inside), tenant, extensions)


async def _hang_up(page: "_SharedPage", tenant: str, extensions: Collection[str]) -> HungUp:
    ours = [
        channel
        for channel in (await page.read()).channels
        if channel.domain in ("", tenant) and channel.number in extensions
    ]
    ending = [channel for channel in ours if not channel.is_emergency]
    if any(not channel.uuid for channel in ending):
        raise OperatorMustAct(
            f"{page.session.name}: the page of active calls shows no uuids: give the key's user "
            "call_active_hangup"
        )
    for channel in ending:
        await _end(page.session, channel)
    if ending:
        await _wait_until_gone(page, ending)
    return HungUp(
        ended=tuple(map(_words, ending)),
        excluded=tuple(_words(channel) for channel in ours if channel.is_emergency),
    )


def _words(channel: LiveChannel) -> str:
    other = channel.destination
    if not other or other == channel.number:
        other = channel.cid_number
    return f"{channel.number} -> {other or 'unknown'}"


class _SharedPage:
    """The page of active calls, which has all calls: one reading serves all waiting callers."""

    def __init__(self, session: FusionPbxSession) -> None:
        self.session = session
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[CallsPage] | None = None
        self._shows_all: asyncio.Task[bool] | None = None

    async def shows_all_tenants(self) -> bool:
        """Whether the key may see the calls of all tenants. A positive answer is cached."""
        if self._shows_all is None:
            self._shows_all = asyncio.create_task(self._ask_for_all())
        asked = self._shows_all
        shows_all = False
        try:
            shows_all = await asyncio.shield(asked)
        finally:
            if not shows_all and self._shows_all is asked:
                self._shows_all = None
        return shows_all

    async def _ask_for_all(self) -> bool:
        answer = await self.session.page("GET", FRAME)
        return not answer.denied and offers_all_tenants(answer.text)

    async def read(self) -> CallsPage:
        """A reading that begins after this was called."""
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        return await asyncio.shield(self._next)

    async def _read(self) -> CallsPage:
        async with self._lock:
            self._next = None  # callers from now on need a later reading
            return await _page(self.session)


async def _page(session: FusionPbxSession) -> CallsPage:
    """The live legs. An empty list is accepted only if FreeSWITCH answers."""
    answer = await session.page("GET", CALLS, {"show": "all"})
    if answer.denied:
        raise session.refused("shows no active calls: give the key's user call_active_view")
    page = read_calls(answer.text)
    if page is None or _END not in answer.text:
        raise session.unexpected("the page of active calls", answer)
    if not page.channels:
        with suppress(Refused):  # an admin's key may not ask FreeSWITCH: the page has to do
            await session.status()
    return page


async def _end(session: FusionPbxSession, channel: LiveChannel) -> None:
    """End a leg. The answer is empty, whether it was ended or not."""
    params = {"cmd": "uuid_kill", "call_id": channel.uuid}
    answer = await session.page("GET", HANG_UP, params)
    if answer.denied:
        raise session.refused("ends no calls: give the key's user operator_panel_view")
    if answer.redirects:
        raise session.unexpected("uuid_kill", answer)


async def _wait_until_gone(page: _SharedPage, ending: Collection[LiveChannel]) -> None:
    left = {channel.uuid: channel for channel in ending}
    for _ in range(CHECKS):
        present = {channel.uuid for channel in (await page.read()).channels}
        left = {uuid: channel for uuid, channel in left.items() if uuid in present}
        if not left:
            return
        await asyncio.sleep(PAUSE_S)
    names = listed(_words(channel) for channel in left.values())
    raise Retry(f"{page.session.name}: calls go on after being ended: {names}")
