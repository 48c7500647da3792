"""Readiness: whether the dependencies of a service answer, so that it can work now."""

import asyncio
import time
from collections.abc import Callable, Coroutine

Need = Callable[[], Coroutine[object, object, object]]
"""Returns when the dependency has answered; raises, or does not return, if it does not."""

ANSWER_S = 3.0
"""The time in which a dependency must answer: less than the time-out of a probe."""

_ASKED_AGAIN_S = 1.0


class Readiness:
    """The dependencies of a service, each called at most once a second.

    `starting` says what is waited for before there are any.
    """

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, answer_s: float = ANSWER_S
    ) -> None:
        self._monotonic = monotonic
        self._answer_s = answer_s
        self._needs: dict[str, Need] = {}
        self._questions: dict[str, asyncio.Future[object]] = {}
        self._asking = asyncio.Lock()
        self._asked_at = -_ASKED_AGAIN_S
        self._missing: list[str] = []
        self.starting = "nothing is connected yet"

    def need(self, name: str, answers: Need) -> None:
        """Add a dependency without which the service cannot work."""
        self._needs[name] = answers

    async def missing(self) -> list[str]:
        """The dependencies that do not answer, each with its kind of failure."""
        if not self._needs:
            return [f"starting: {self.starting or 'nothing is connected yet'}"]
        async with self._asking:
            if self._monotonic() - self._asked_at >= _ASKED_AGAIN_S:
                found = await asyncio.gather(*(self._ask(name) for name in self._needs))
                self._missing = [problem for problem in found if problem is not None]
                self._asked_at = self._monotonic()
            return self._missing

    async def _ask(self, name: str) -> str | None:
        """The problem of a dependency, by its kind alone: a message may hold an address or a login.

        A call that does not return in time goes on and is awaited again next time. It is not
        cancelled, because that would wait for the same database; it is not repeated, because that
        would take another connection.
        """
        question = self._questions.pop(name, None) or asyncio.ensure_future(self._needs[name]())
        done, _ = await asyncio.wait({question}, timeout=self._answer_s)
        if not done:
            self._questions[name] = question
            return f"{name}: no answer within {self._answer_s:.0f} s"
        error = question.exception()
        return f"{name}: {type(error).__name__}" if error else None
