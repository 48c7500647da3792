"""The Faust consumer, for few events whose handling is slow, such as sending a mail.

Faust loses an event when its agent raises, so no exception leaves the loop body: an event is
processed, or the process exits with its offset uncommitted (docs/adr/0002). Every setting is
stated, because Faust's defaults depend on the environment and on its version.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import faust
import structlog

from ringfence.kafka.brokers import Bootstrap, Brokers
from ringfence.kafka.failures.header_names import take_any_header_name
from ringfence.kafka.processor import RecordProcessor
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.observe.metrics import LAG
from ringfence.transient import exit_status
from ringfence_contracts.errors import EXIT_TEMPORARY
from ringfence_contracts.records import Received
from ringfence_contracts.topics import Topic

_LOOK_EVERY_S = 1.0
_STOP_BOUND_S = 10.0
log = structlog.get_logger()


async def _nothing() -> None:
    """The default of `before_exit`: nothing to finish."""


class GuardedAgents:
    """Processes single events under Faust, one agent for each topic, until it is stopped.

    `before_exit` is awaited before the process exits without finalizers: it finishes what other
    loops have begun. It must be bounded and must not raise.
    """

    def __init__(
        self,
        processor: RecordProcessor[Sequence[Received]],
        topics: Sequence[Topic],
        *,
        bootstrap: Bootstrap,
        group: str,
        progress: Progress,
        before_exit: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._processor = processor
        self._topics = topics
        self._bootstrap = bootstrap
        self._group = group
        self._progress = progress
        self._before_exit = before_exit
        self._handled: dict[tuple[str, int], int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set. An event in flight is processed or stays unacknowledged."""
        take_any_header_name()
        app = self._build()
        await app.start()
        try:
            while not await wait_or_stop(stop, _LOOK_EVERY_S):
                await self._look(app)
        finally:
            await self._close(app)

    def _build(self) -> faust.App:
        app = make_app(self._group, self._bootstrap)
        for topic in self._topics:
            channel = app.topic(
                topic.name, key_type=bytes, value_type=bytes, key_serializer="raw",
                value_serializer="raw",
            )  # fmt: skip
            app.agent(channel, name=f"{self._group}.{topic.name}", concurrency=1)(self._consume)
        return app

    async def _consume(self, stream: Any) -> None:
        async for event in stream.events():
            await self._process_or_exit(event.message)

    async def _process_or_exit(self, message: Any) -> None:
        received = Received(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value or b"",
            headers=tuple(_pairs(message.headers)),
        )
        try:
            await self._processor.process([received])
            await self._processor.committed([received])
        except BaseException as error:
            # Not even a cancellation may leave this loop: Faust would acknowledge the event.
            try:
                await self._before_exit()
            finally:
                _exit_by(error, received)
        self._handled[message.topic, message.partition] = message.offset
        self._progress.turned(read=1)

    async def _look(self, app: faust.App) -> None:
        """Exit if Faust stopped by itself; measure the lag."""
        if app.should_stop or app.crashed:
            log.error("faust stopped by itself", reason=repr(getattr(app, "_crash_reason", None)))
            await self._before_exit()
            _exit(EXIT_TEMPORARY)
        behind = 0
        for partition in app.consumer.assignment():
            end = app.consumer.highwater(partition)
            done = self._handled.get((partition.topic, partition.partition))
            if end is not None and done is not None:
                behind += max(0, end - done - 1)
        LAG.labels(self._group).set(behind)
        self._progress.turned(lag=behind)

    async def _close(self, app: faust.App) -> None:
        """Drain the streams, commit and leave the group, in 10 s: the broker may be unreachable."""
        stopping = asyncio.create_task(app.stop())
        done, _ = await asyncio.wait({stopping}, timeout=_STOP_BOUND_S)
        if not done:
            # Nothing is cancelled here: a cancelled agent acknowledges its event in flight.
            log.warning("faust did not stop in time; unacknowledged events come again")
            await self._before_exit()
            _exit(0)


def make_app(group: str, bootstrap: Bootstrap) -> faust.App:
    """A Faust app that states every setting that matters; made for each call, not at import."""
    return faust.App(
        group,
        broker=[f"kafka://{address}" for address in str(bootstrap).split(",")],
        broker_credentials=_credentials(bootstrap),
        version=1,  # never changes: another number renames the group and re-reads every topic
        env_prefix=f"RINGFENCE_{group.upper().replace('-', '_')}_FAUST_",
        autodiscover=False,
        processing_guarantee="at_least_once",
        store="memory://",
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=12,
        broker_heartbeat_interval=3,
        broker_rebalance_timeout=30,
        broker_request_timeout=40,
        broker_max_poll_records=500,
        broker_commit_interval=1.0,
        stream_buffer_maxsize=1000,
        stream_wait_empty=True,
        producer_acks=-1,
        worker_redirect_stdouts=False,
        web_enabled=False,
        datadir=f"/tmp/ringfence-faust-{os.getpid()}",  # noqa: S108 - nothing is stored in it
        agent_supervisor="mode.supervisors:CrashingSupervisor",
        stream_processing_timeout=300,
    )


def _credentials(bootstrap: Bootstrap) -> faust.SSLCredentials | faust.SASLCredentials | None:
    """The TLS context and the login for Faust; None for plain text without a login."""
    if not isinstance(bootstrap, Brokers) or bootstrap.protocol == "PLAINTEXT":
        return None
    context = bootstrap.ssl_context()
    if not bootstrap.sasl:
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=bootstrap.user,
        password=bootstrap.password,
        mechanism=bootstrap.mechanism,
        ssl_context=context,
    )


def _pairs(headers: Any) -> list[tuple[str, bytes | None]]:
    if not headers:
        return []
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


def _exit_by(error: BaseException, received: Received) -> None:
    if isinstance(error, asyncio.CancelledError):
        log.info("stopped with an event in flight; it stays unacknowledged", topic=received.topic)
        _exit(0)
    where = {"topic": received.topic, "partition": received.partition, "offset": received.offset}
    _exit(exit_status(error, **where))


def _exit(status: int) -> None:
    """Exit without finalizers: those of Faust would acknowledge the event in flight."""
    os._exit(status)
