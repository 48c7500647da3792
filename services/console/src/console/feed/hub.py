"""Gives each event to every browser that is listening; one that misses some learns it."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from console.feed.words import Happening

_KEPT = 50
_WAITING = 200


class Hub:
    """The events of the last moments, and the browsers that are sent new ones."""

    def __init__(self) -> None:
        self.recent: deque[Happening] = deque(maxlen=_KEPT)
        self._listeners: set[Listener] = set()

    def publish(self, happening: Happening) -> None:
        """An event happened."""
        if happening.text:
            self.recent.appendleft(happening)
        for listener in self._listeners:
            listener.add(happening)

    def miss(self) -> None:
        """Events happened that nobody read."""
        for listener in self._listeners:
            listener.miss()

    @contextmanager
    def listening(self) -> Iterator["Listener"]:
        """A browser listens, from now on."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class Listener:
    """The events that one browser has not been sent yet; of too many the oldest are lost."""

    def __init__(self) -> None:
        self._waiting: deque[Happening] = deque(maxlen=_WAITING)
        self._missed = True
        self._some = asyncio.Event()

    def add(self, happening: Happening) -> None:
        """Keep an event until it is sent."""
        self._missed |= len(self._waiting) == _WAITING
        self._waiting.append(happening)
        self._some.set()

    def miss(self) -> None:
        """Events are lost to this browser."""
        self._missed = True
        self._some.set()

    def missed(self) -> bool:
        """Whether events may be lost since this was last asked; true at first."""
        missed, self._missed = self._missed, False
        return missed

    async def next(self, within_s: float) -> list[Happening]:
        """What has happened since the last call; empty if nothing did within so many seconds."""
        try:
            await asyncio.wait_for(self._some.wait(), within_s)
        except TimeoutError:
            return []
        self._some.clear()
        found = list(self._waiting)
        self._waiting.clear()
        return found
