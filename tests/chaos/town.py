"""The stack that scenarios run on, its clients, and what is known of what was sent."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

from ringfence.secret_files import SERVICES
from ringfence_local.demo.sample import SampleApi
from ringfence_local.demo.scene import PBX_ID
from ringfence_local.embedded.ports import free_port
from ringfence_local.errors import StackError
from ringfence_local.processes.supervisor import Supervisor
from ringfence_local.stack import Stack
from ringfence_local.state import secret_file
from ringfence_testing.wait import until
from tests.chaos.clock import CannotCompile, SteppedClock
from tests.chaos.mail_proxy import MailProxy
from tests.chaos.planned import PlannedCall, PlannedClient, PlannedPayment, Wave, plan_wave
from tests.chaos.small_disks import CannotMount, SmallDisks
from tests.support.stack_harness import StackHarness


class Skipped(Exception):
    """A scenario cannot run here; the message has the reason."""


UP_S = 120
PUSH_USER = "freeswitch"
_PUSH = """
[servers.{pbx_id}.push]
user = "{user}"
password = {{ file = "{password}" }}
"""


class ChaosStack(Stack):
    """A stack whose services are started again soon, however often they are killed."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.push_password_file = secret_file(folder.absolute(), "push-password")
        push = _PUSH.format(pbx_id=PBX_ID, user=PUSH_USER, password=self.push_password_file)
        settings = {"RINGFENCE_CDR_INGEST_PUSH_PORT": str(free_port()), **(environment or {})}
        super().__init__(folder, wanted_ports={}, environment=settings, servers=push)
        self.supervisor = Supervisor(self.folder / "logs", pause_s=0.2, pause_max_s=3.0)

    @property
    def push_url(self) -> str:
        """Where FreeSWITCH posts its records."""
        return f"http://127.0.0.1:{self.ports['push']}/cdr/{PBX_ID}/json"


@dataclass
class Sent:
    """What was accepted by the product so far, of all waves."""

    clients: list[PlannedClient] = field(default_factory=list)
    calls: list[PlannedCall] = field(default_factory=list)
    payments: list[PlannedPayment] = field(default_factory=list)
    posts: int = 0


class ChaosTown:
    """A running stack with its clients. `say` gets lines about the progress.

    `needs`: "disks" for small file systems, "clock" for a clock that can be stepped. Entering it
    raises Skipped if this machine has not what is needed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        say: Callable[[str], None],
        needs: frozenset[str] = frozenset(),
    ) -> None:
        self.needs = needs
        self.disks = SmallDisks(folder)
        self.clock = SteppedClock(folder.with_name(f"{folder.name}-clock"))
        environment = self.clock.environment if "clock" in needs else {}
        self.mail_proxy = MailProxy()
        mails = {"RINGFENCE_NOTIFIER_SMTP_PORT": str(self.mail_proxy.port)}
        self.stack = ChaosStack(folder, {**mails, **environment})
        self.chance = random.Random(seed)
        self.say = say
        self.sent = Sent()
        self.kills = 0
        self.harness: StackHarness
        self._waves = 0
        self._open = AsyncExitStack()

    async def __aenter__(self) -> "ChaosTown":
        async with AsyncExitStack() as opening:
            self._prepare(opening)
            await opening.enter_async_context(self.mail_proxy)
            await opening.enter_async_context(self.stack)
            self.mail_proxy.target = self.stack.ports["inbox"]
            door = await opening.enter_async_context(SampleApi(self.stack))
            self.harness = StackHarness(self.stack, door)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    def _prepare(self, opening: AsyncExitStack) -> None:
        try:
            if "disks" in self.needs:
                opening.callback(self.disks.close)
                self.disks.open()
            if "clock" in self.needs:
                self.clock.build()
        except (CannotMount, CannotCompile) as error:
            raise Skipped(str(error)) from None

    async def plan(self, calls: int, *, each: int = 2) -> Wave:
        """Plan a wave and create its clients."""
        wave = plan_wave(self._waves, calls, self.chance, each=each)
        self._waves += 1
        for planned in wave.clients:
            await self.harness.move_in(planned.client)
            self.sent.clients.append(planned)
        return wave

    def kill(self, service: str) -> bool:
        """Kill -9 a service; False while it does not run."""
        pid = self.stack.supervisor.children[service].pid
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.kills += 1
        return True

    async def is_up(self, *services: str) -> bool:
        """Whether these services answer, or all."""
        reports = [await self.stack.health(name) for name in services or SERVICES]
        return all(report is not None for report in reports)

    async def until_up(self, *services: str, timeout_s: float = UP_S) -> None:
        """Wait until these services answer, or all."""
        await until(partial(self.is_up, *services), timeout_s=timeout_s, every_s=0.2, what="up")

    async def until_servers_run(self, timeout_s: float = UP_S) -> None:
        """Wait until the embedded broker and database run and answer."""

        async def answer() -> bool:
            if any(keeper.is_down for keeper in self.stack.keepers):
                return False
            try:
                return bool(await self.harness.one("select true"))
            except (OSError, StackError, TimeoutError):
                return False

        await until(answer, timeout_s=timeout_s, every_s=0.2, what="broker and database run")

    def pid_of(self, part: str) -> int:
        """The process id of a service, of `broker` or of `database`."""
        if part == "broker":
            assert self.stack.kafka is not None
            return self.stack.kafka.pid
        if part == "database":
            assert self.stack.postgres is not None
            return self.stack.postgres.pid
        return self.stack.supervisor.pid(part)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def s(self) -> float:
        """How many."""
        return time.monotonic() - self._began


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Pause between two faults, or until `stop`; returns whether to go on."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return True
    return False
