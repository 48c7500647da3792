"""Ready means: what a service needs answers, so that it can do its work now."""

import asyncio
import time
from collections.abc import Callable, Coroutine

Need = Callable[[], Coroutine[object, object, object]]
"""Returns when what is needed has answered; raises, or does not return, when it does not."""

ANSWER_S = 3.0
"""What has not answered by then counts as away: less than the time that a probe is given."""

_ASKED_AGAIN_S = 1.0


class Readiness:
    """What a service needs. Asked at most once a second, however often /ready is."""

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

    def need(self, name: str, answers: Need) -> None:
        """Without an answer of this the service cannot work."""
        self._needs[name] = answers

    async def missing(self) -> list[str]:
        """What does not answer, each with the kind of its failure; all are asked at once."""
        if not self._needs:
            return ["starting: nothing is connected yet"]
        async with self._asking:
            if self._monotonic() - self._asked_at >= _ASKED_AGAIN_S:
                found = await asyncio.gather(*(self._ask(name) for name in self._needs))
                self._missing = [problem for problem in found if problem is not None]
                self._asked_at = self._monotonic()
            return self._missing

    async def _ask(self, name: str) -> str | None:
        """No words of the failure itself: they may hold an address or a login.

        A question without an answer stays asked until it has one. It is not cancelled: that would
        wait for the same database. Nor is it asked twice: that would take another connection.
        """
        question = self._questions.pop(name, None) or asyncio.ensure_future(self._needs[name]())
        done, _ = await asyncio.wait({question}, timeout=self._answer_s)
        if not done:
            self._questions[name] = question
            return f"{name}: no answer within {self._answer_s:.0f} s"
        error = question.exception()
        return f"{name}: {type(error).__name__}" if error else None
