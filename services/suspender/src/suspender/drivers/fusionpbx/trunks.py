"""Switches gateways: a few at the lowest cost, or very many in a few requests.

A gateway is proven off if the switch answers, does not list it, and its flag is disabled. It is
proven on if the switch lists it and its flag is enabled. The flags of a few gateways are read by
search. For many that would take one request each, so two commands reveal the flags:

- `stop` on the list page makes the switch answer once for each ticked gateway that is enabled. If
  there are as many answers as ticks, all were enabled, and one toggle disables them all.
- `rescan` starts every enabled gateway that does not run. A gateway that ran in that SIP profile
  and is not listed after a rescan is disabled.

If the numbers differ (a person toggled one by hand), the flags in doubt are read.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry
from ringfence_pbx.fusionpbx.session import FusionPbxSession, ListedRow, SwitchStatus
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    SwitchDone,
    SwitchTarget,
)
from suspender.drivers.fusionpbx.evidence import (
    batches,
    done,
    not_done,
    not_there,
    unreadable,
)
from suspender.drivers.fusionpbx.gateways import FEW, GatewayFinder
from suspender.rules.elements import Element
from suspender.wording import listed

BATCH = 200
"""Gateways in one POST: two fields each, and PHP accepts 1,000 fields."""
CHECKS = 8
PAUSE_S = 0.25
"""A killed gateway may be listed until it has unregistered; a new one may be listed late."""

Outcomes = dict[str, SwitchDone | Failure]


@dataclass(frozen=True)
class GatewayReading(ElementReading):
    """`flag` is the stored flag; None if only the switch was asked, which runs the gateway."""

    flag: bool | None = None


class Trunks:
    """The gateways of one server. Needs a superadmin's key."""

    def __init__(self, sip_profile: str, clock: Clock) -> None:
        self._profile = sip_profile
        self._clock = clock
        self._finder = GatewayFinder()
        self._lock = asyncio.Lock()

    async def read(
        self, session: FusionPbxSession, targets: Collection[SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """The stored flags; of many gateways, only of those that do not run (the others are on)."""
        uuids = {target.element: target.element.name.lower() for target in targets}
        running: dict[str, str] = {}
        if len(uuids) > FEW:
            status = await session.status()
            running = {uuid: status.names.get(uuid, "") for uuid in status.gateways}
        rows = await self._finder.find(session, set(uuids.values()) - running.keys())
        read: dict[Element, ElementReading | Failure] = {}
        for element, uuid in uuids.items():
            if uuid in running:
                read[element] = GatewayReading("on", name=running[uuid])
            else:
                read[element] = _reading(session.name, rows.get(uuid))
        return read

    async def running(
        self, session: FusionPbxSession, elements: Iterable[Element]
    ) -> frozenset[Element]:
        """Those that the switch runs, whatever is stored. Raises Retry if it does not answer."""
        live = await session.live_gateways()
        return frozenset(element for element in elements if element.name.lower() in live)

    async def switch(
        self, session: FusionPbxSession, changes: Sequence[ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        """Restores first; another task's restores can run between the batches of this one."""
        outcomes: Outcomes = {}
        for off in (False, True):
            todo = {c.target.element.name.lower(): c for c in changes if c.off is off}
            if todo:
                turn = _GatewaySwitch(
                    session, self._finder, self._clock, self._profile, todo, self._lock
                )
                flags = await turn.flags()
                if off:
                    await turn.off(flags)
                else:
                    await turn.on(flags)
                outcomes |= turn.outcomes
        return {
            change.target.element: outcomes[change.target.element.name.lower()]
            for change in changes
        }


def _reading(server: str, row: ListedRow | None) -> ElementReading | Failure:
    if row is None:
        return ElementReading("missing")
    if row.enabled is None:
        return unreadable(server, f"gateway {row.name}")
    return GatewayReading("on" if row.enabled else "off", name=row.name, flag=row.enabled)


class _GatewaySwitch:
    """Switches gateways that are all to be off, or all to be on."""

    def __init__(
        self,
        session: FusionPbxSession,
        finder: GatewayFinder,
        clock: Clock,
        profile: str,
        todo: Mapping[str, ElementChange],
        lock: asyncio.Lock,
    ) -> None:
        self._session = session
        self._finder = finder
        self._clock = clock
        self._profile = profile
        self._todo = todo
        # Held from stop to toggle, and by each rescan: a rescan between the two would start the
        # gateway again, as it is stopped but still enabled.
        self._lock = lock
        self.outcomes: Outcomes = {}

    @property
    def _left(self) -> list[str]:
        return [uuid for uuid in self._todo if uuid not in self.outcomes]

    def _name(self, uuid: str) -> str:
        return f"gateway {self._todo[uuid].reading.name or self._finder.name(uuid)}"

    async def flags(self) -> dict[str, bool | None]:
        """The stored flags; None for some of many that are to be off: only the switch was asked.

        Flags that the present reading contains are not read again.
        """
        flags: dict[str, bool | None] = {}
        unread: list[str] = []
        is_off = all(change.off for change in self._todo.values())
        for uuid, change in self._todo.items():
            known = change.reading.flag if isinstance(change.reading, GatewayReading) else None
            flags[uuid] = known
            if change.reading.state == "missing":
                self.outcomes[uuid] = not_there(
                    self._session.name, f"gateway {uuid}", change.target
                )
            elif known is None and not (is_off and len(self._todo) > FEW):
                unread.append(uuid)
        running = [uuid for uuid in unread if self._todo[uuid].reading.state == "on"]
        if len(running) <= FEW:
            return flags | await self._read(unread)
        flags |= await self._finder.flags_of_running(self._session, running)
        return flags | await self._read([uuid for uuid in unread if uuid not in running])

    async def _read(self, uuids: Collection[str]) -> dict[str, bool | None]:
        """The stored flags of these; a gateway without one becomes a failure."""
        rows = await self._finder.find(self._session, uuids)
        for uuid in uuids:
            row = rows.get(uuid)
            if row is None:
                what = f"gateway {uuid}"
                self.outcomes[uuid] = not_there(self._session.name, what, self._todo[uuid].target)
            elif row.enabled is None:
                self.outcomes[uuid] = unreadable(self._session.name, self._name(uuid))
        return {uuid: row.enabled for uuid, row in rows.items()}

    async def off(self, flags: Mapping[str, bool | None]) -> None:
        """Stop and disable them, and check that the switch no longer lists them."""
        if len(self._left) <= FEW:
            await self._few_off(flags)
        else:
            await self._many_off(flags)

    async def _few_off(self, flags: Mapping[str, bool | None]) -> None:
        session, left = self._session, self._left
        enabled = [uuid for uuid in left if flags[uuid]]
        if enabled:
            async with self._lock:
                status = await session.disable_live(enabled)
        else:
            status = await session.status()
        proof = f"killgw answered {listed(status.answers)}, " if status.answers else ""
        if enabled:
            after = await self._read(enabled)
            for uuid in enabled:
                if after.get(uuid):
                    self.outcomes[uuid] = not_done(session.name, self._name(uuid), off=True)
        status = await self._kill_remaining(status, self._left)
        self._judge_off(status, f"{proof}not listed by the switch")

    async def _kill_remaining(self, status: SwitchStatus, uuids: Collection[str]) -> SwitchStatus:
        """Kill those that run although they are disabled, and wait until none is listed."""
        session = self._session
        lasting = {u: status.profile_of.get(u, self._profile) for u in _both(status, uuids)}
        if lasting:
            status = await session.kill_in(lasting)
        for _ in range(CHECKS):
            if not _both(status, uuids):
                break
            await asyncio.sleep(PAUSE_S)
            status = await session.status()
        return status

    def _judge_off(self, status: SwitchStatus, proof: str) -> None:
        for uuid in self._left:
            if uuid in status.gateways:
                what = f"{self._name(uuid)} disabled, but still live after killgw"
                self.outcomes[uuid] = Retry(f"{self._session.name}: {what}")
            else:
                self.outcomes[uuid] = done(self._clock, self._name(uuid), True, proof)

    async def _many_off(self, flags: Mapping[str, bool | None]) -> None:
        """Disable many without reading the list: see the proofs at the top of this module."""
        session = self._session
        before = status = await session.status()
        disabled = {uuid for uuid in self._left if flags[uuid] is False}
        if toggling := [uuid for uuid in self._left if uuid not in disabled]:
            for batch in batches(toggling, BATCH):
                disabled |= await self._disable(batch)
            profiles = {before.profile_of.get(uuid, self._profile) for uuid in toggling}
            async with self._lock:
                status = await session.rescan(*sorted(profiles))
        in_doubt = [
            uuid
            for uuid in self._left
            if uuid not in disabled and (uuid not in before.gateways or uuid in status.gateways)
        ]
        after = await self._read(in_doubt)
        for uuid in in_doubt:
            if after.get(uuid):
                self.outcomes[uuid] = not_done(session.name, self._name(uuid), off=True)
        status = await self._kill_remaining(status, self._left)
        self._judge_off(status, "not listed by the switch after stop, toggle and rescan")

    async def _disable(self, batch: Sequence[str]) -> set[str]:
        """Stop and toggle a batch. Returns those whose flag was read and was disabled before."""
        session = self._session
        async with self._lock:
            answers = await session.count_stopped(batch)
            enabled, disabled = list(batch), set[str]()
            if answers != len(batch):
                await session.status()  # raises Retry if the switch does not answer
                flags = await self._read(batch)
                enabled = [uuid for uuid in batch if flags.get(uuid)]
                disabled = {uuid for uuid in batch if flags.get(uuid) is False}
            if enabled:
                await session.toggle("gateways", enabled)
        return disabled

    async def on(self, flags: Mapping[str, bool | None]) -> None:
        """Enable them, and check that the switch lists them."""
        if len(self._left) <= FEW:
            await self._few_on(flags)
        else:
            await self._many_on(flags)

    async def _few_on(self, flags: Mapping[str, bool | None]) -> None:
        """Enable a few: one row of the list shows both the flag and the state in the switch."""
        session = self._session
        disabled = [uuid for uuid in self._left if flags[uuid] is False]
        if disabled:
            async with self._lock:
                await session.toggle("gateways", disabled)
        rows = await self._finder.find(session, self._left)
        for uuid in self._left:
            row = rows.get(uuid)
            if row is None:
                what = f"gateway {uuid}"
                self.outcomes[uuid] = not_there(session.name, what, self._todo[uuid].target)
            elif row.enabled is False:
                self.outcomes[uuid] = not_done(session.name, self._name(uuid), off=False)
            elif row.enabled and row.running:
                self._confirm_on(uuid, row.state)
        if self._left:
            self._judge_on(await self._rescan())

    async def _many_on(self, flags: Mapping[str, bool | None]) -> None:
        session = self._session
        before = await session.status()
        disabled = [uuid for uuid in self._left if flags[uuid] is False]
        for batch in batches(disabled, BATCH):
            async with self._lock:
                await session.toggle("gateways", batch)
        status = await self._rescan()
        # A gateway that ran although it was disabled is listed whether the toggle worked or not.
        in_doubt = [u for u in disabled if u in before.gateways or u not in status.gateways]
        after = await self._read(in_doubt)
        for uuid in in_doubt:
            if after.get(uuid) is False:
                self.outcomes[uuid] = not_done(session.name, self._name(uuid), off=False)
        self._judge_on(status)

    async def _rescan(self) -> SwitchStatus:
        session = self._session
        async with self._lock:
            status = await session.rescan(self._profile)
        for _ in range(CHECKS):
            if status.gateways.keys() >= set(self._left):
                break
            await asyncio.sleep(PAUSE_S)
            status = await session.status()
        return status

    def _judge_on(self, status: SwitchStatus) -> None:
        for uuid in self._left:
            if uuid in status.gateways:
                self._confirm_on(uuid, status.gateways[uuid])
            else:
                self.outcomes[uuid] = Retry(
                    f"{self._session.name}: {self._name(uuid)} enabled, but not listed by the "
                    "switch after rescan; if this stays so, `sip_profile` may be another than its"
                )

    def _confirm_on(self, uuid: str, state: str) -> None:
        proof = f"listed by the switch ({state or 'no state'})"
        self.outcomes[uuid] = done(self._clock, self._name(uuid), False, proof)


def _both(status: SwitchStatus, uuids: Collection[str]) -> list[str]:
    return [uuid for uuid in uuids if uuid in status.gateways]
