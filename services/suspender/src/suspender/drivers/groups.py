"""Switches elements in groups; a group that fails neither fails nor delays another."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from ringfence_contracts.errors import Retry
from ringfence_pbx.errors import Refused
from suspender.drivers.driver import Failure, OperatorMustAct
from suspender.rules.elements import Element

KeyT = TypeVar("KeyT", bound=Hashable)
ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")

UNANSWERED_IN_A_ROW = 3
"""After this many groups in a row without an answer, the remaining groups are not tried."""

Work = Callable[[KeyT, Mapping[Element, ItemT]], Awaitable[Mapping[Element, AnswerT | Failure]]]


async def each_group(
    groups: Mapping[KeyT, Mapping[Element, ItemT]],
    work: Work[KeyT, ItemT, AnswerT],
    *,
    at_once: int,
) -> dict[Element, AnswerT | Failure]:
    """The answers for all elements; if a group fails as a whole, each of its elements fails.

    Raises the first Retry if no group was answered: then the server is at fault, not the group.
    """
    turn = _GroupRun(work, at_once)
    await asyncio.gather(*(turn.do(key, items) for key, items in groups.items()))
    if turn.failed and not turn.was_answered:
        raise turn.failed[0]
    return turn.answers


class _GroupRun(Generic[KeyT, ItemT, AnswerT]):
    def __init__(self, work: Work[KeyT, ItemT, AnswerT], at_once: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(at_once)
        self._in_a_row = 0
        self.answers: dict[Element, AnswerT | Failure] = {}
        self.failed: list[Retry] = []
        self.was_answered = False

    async def do(self, key: KeyT, items: Mapping[Element, ItemT]) -> None:
        async with self._slots:
            try:
                if self._in_a_row >= UNANSWERED_IN_A_ROW:
                    raise self.failed[-1]
                self.answers |= await self._work(key, items)
            except Retry as error:
                self._in_a_row += 1
                self.failed.append(error)
                self.answers |= dict.fromkeys(items, error)
                return
            except Refused as error:
                self.answers |= dict.fromkeys(items, OperatorMustAct(str(error)))
            except OperatorMustAct as error:
                self.answers |= dict.fromkeys(items, error)
            self._in_a_row = 0
            self.was_answered = True
