"""How far an examination is, in numbers and words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

ReportExamination = Callable[[str, int, int], None]
"""Receives what is examined now, how many parts are examined, and how many there are."""

_NAMED = 3


class ExaminationProgress:
    """Counts the parts of an examination; each change is reported."""

    def __init__(self, total: int, report: ReportExamination) -> None:
        self._total = total
        self._report = report
        self._done = 0
        self._current: list[str] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Name a part while this context examines it, and count it afterwards."""
        self._current.append(name)
        self._report_now()
        try:
            yield
        finally:
            self._current.remove(name)
            self._done += 1
            self._report_now()

    def _report_now(self) -> None:
        self._report(self._words(), self._done, self._total)

    def _words(self) -> str:
        if not self._current:
            return ""
        more = len(self._current) - _NAMED
        names = ", ".join(self._current[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"examining {names}"


def report_nothing(_current: str, _done: int, _total: int) -> None:
    """A ReportExamination that nobody reads."""
