"""The loop that carries out a service's jobs, one at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.postgres.jobs import Job, JobEnding, JobProgress, JobStore
from ringfence.postgres.leases import LEASE, renewed_lease
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import RingfenceError

MAX_ATTEMPTS = 3
"""How often a job is begun when its worker ends before it, by a bug or a kill."""

RETRIED_FOR = timedelta(minutes=10)
"""How long a job is repeated while a dependency fails."""

KEPT = timedelta(days=30)
"""How long the result of a job is kept."""

_POLL_EVERY_S = 0.5
_RENEW_EVERY_S = 1.0
_RETRY_AFTER = timedelta(seconds=10)
_PRUNE_EVERY = timedelta(hours=1)
log = structlog.get_logger()


class ReportProgress(Protocol):
    """Shows how far a job is. It costs nothing, so a handler may call it as often as it likes."""

    def __call__(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """`text`: what is being done, for a person; `done` of `total`, if it can be counted."""
        ...


JobHandler = Callable[[Job, ReportProgress], Awaitable[Mapping[str, Any]]]
"""Carries out a job; its result, as JSON can hold it. Idempotent, because a job is begun again when
its worker is killed. Raises RingfenceError (BadInput, Conflict) to refuse the job, in words for the
operator. May be cancelled at any await, when the service stops."""


async def run_jobs(
    stop: asyncio.Event,
    store: JobStore,
    handlers: Mapping[str, JobHandler],
    *,
    clock: Clock,
    progress: Progress,
) -> None:
    """Carry out jobs by the handler of their command, until `stop` is set.

    A job that is interrupted by `stop` is put back, for another worker or the next start.
    """
    worker = _JobWorker(store, handlers, clock, progress)
    await run_loop(
        stop,
        partial(worker.turn, stop),
        "jobs wait",
        progress=progress,
        every_s=_POLL_EVERY_S,
        full_batch=1,
        longest_pause_s=5.0,
    )


class _JobWorker:
    def __init__(
        self,
        store: JobStore,
        handlers: Mapping[str, JobHandler],
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._progress = progress
        self._prune_at: datetime | None = None

    async def turn(self, stop: asyncio.Event) -> int:
        """Carry out one job; how many there were."""
        now = self._clock.now()
        await self._prune(now)
        job = await self._store.take(now, now + LEASE)
        if job is None:
            return 0
        ending = _given_up(job) or await self._work(job, stop)
        if ending is not None:
            await self._store.finish(job, ending, self._clock.now())
            log.info("job", command=job.command, state=ending.state, message=ending.message)
        return 1

    async def _prune(self, now: datetime) -> None:
        if self._prune_at is None or now >= self._prune_at:
            await self._store.prune(now - KEPT)
            self._prune_at = now + _PRUNE_EVERY

    async def _work(self, job: Job, stop: asyncio.Event) -> JobEnding | None:
        """How the job ended; None if it was put back."""
        try:
            result = await self._run_handler(job, stop)
        except TRANSIENT_ERRORS as error:
            now = self._clock.now()
            if now - job.started_at > RETRIED_FOR:
                return JobEnding("failed", _gave_up_waiting(error))
            log.warning("job waits", command=job.command, reason=repr(error))
            await self._store.put_back(job, now + _RETRY_AFTER)
            return None
        except RingfenceError as refusal:
            return JobEnding("refused", str(refusal))
        except Exception as error:
            if job.attempts < MAX_ATTEMPTS:
                raise
            log.error("job failed", command=job.command, exc_info=error)
            return JobEnding("failed", f"a bug: {type(error).__name__}; the service's log has it")
        if result is None:
            await self._store.put_back(job, self._clock.now())
            return None
        return JobEnding("done", result=result)

    async def _run_handler(self, job: Job, stop: asyncio.Event) -> Mapping[str, Any] | None:
        """Run the handler while the lease is renewed; None if `stop` was set before it ended."""
        shown = _ShownProgress()
        handler = self._handlers[job.command]
        async with renewed_lease(partial(self._renew, job, shown), _RENEW_EVERY_S):
            running = asyncio.ensure_future(handler(job, shown))
            stopping = asyncio.ensure_future(stop.wait())
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                return running.result() if running.done() else None
            finally:
                for task in (running, stopping):
                    task.cancel()
                await asyncio.wait({running, stopping})

    async def _renew(self, job: Job, shown: "_ShownProgress") -> None:
        await self._store.renew(job, self._clock.now() + LEASE, shown.progress)
        self._progress.turned()  # the loop works; a job may take longer than a turn may


class _ShownProgress:
    """Holds what a handler reported last, until the lease is renewed."""

    def __init__(self) -> None:
        self.progress = JobProgress()

    def __call__(self, text: str, done: int | None = None, total: int | None = None) -> None:
        self.progress = JobProgress(text, done, total)


def _gave_up_waiting(error: Exception) -> str:
    return (
        f"the database or Kafka did not answer in time for {RETRIED_FOR // timedelta(minutes=1)}"
        f" minutes, at last: {error!r}. Give the command again when they do"
    )


def _given_up(job: Job) -> JobEnding | None:
    """The ending of a job that has ended its worker as often as it may; None for any other."""
    if job.attempts <= MAX_ATTEMPTS:
        return None
    return JobEnding(
        "failed",
        f"it was begun {MAX_ATTEMPTS} times, and each time the service ended before the job did:"
        " the service's log has the reason",
    )
