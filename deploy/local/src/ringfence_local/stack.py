"""The whole product on one machine: Kafka and PostgreSQL, simulators, and the six services.

    async with Stack(Path(".ringfence")) as stack:
        ...  # stack.bootstrap, stack.dsn, stack.ports, stack.inbox, stack.supervisor

Entering returns when every service is healthy; leaving stops everything in the opposite order.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from ringfence.kafka.access.acls import OPERATOR
from ringfence.kafka.admin import create_topics
from ringfence.kafka.brokers import PROTOCOL
from ringfence.postgres.migrate import migrate
from ringfence.postgres.refusal import DSN, PASSWORD_FILE
from ringfence.postgres.roles import as_login, create_logins, password_of
from ringfence.secret_files import SERVICES, ensure_secret
from ringfence.stack_file import database_dsn, kafka_brokers
from ringfence_local.demo.scene import PBX_DOMAIN, write_simulator_files
from ringfence_local.embedded.kafka import Kafka
from ringfence_local.embedded.keeper import ServerKeeper
from ringfence_local.embedded.ports import free_port
from ringfence_local.embedded.postgres import Postgres
from ringfence_local.embedded.server import start_async
from ringfence_local.errors import StackError
from ringfence_local.mail.inbox import MailFolder
from ringfence_local.processes.child import last_lines
from ringfence_local.processes.supervisor import Program, Supervisor, python_module
from ringfence_local.state import (
    FOLDER,
    POSTGRES,
    WANTED_PORTS,
    RunningStack,
    choose_ports,
    exclusive_folder,
    save_ports,
    secret_file,
    stack_file_written,
)

MIGRATIONS = Path(__file__).parents[3] / "migrations"
READY_BOUND_S = 180.0
_OUTSIDE = ("inbox", "fusionpbx")
_LOOK_EVERY_S = 0.05


class Stack:
    """All parts, in one state folder. Use it from the main thread's event loop.

    RINGFENCE_KAFKA_BOOTSTRAP and RINGFENCE_POSTGRES_DSN name servers to use instead of the
    embedded ones. `dsn` is that of the database's owner. Each service has a login of its own in the
    embedded database, and in another one if `logins` names a folder for their passwords.
    `services` are those of the six to start; `environment` is added to theirs. `console`: the web
    pages are served too. `wanted_ports` are
    used if they are free; with {} each port is any free one. `extra_programs` are further simulated
    systems with their ports, and `servers` their entries for the servers file.
    An embedded server that ends by itself is started again; `notes` are the last lines about that.
    Raises StackError if a part does not start, after it has stopped what it started.
    """

    def __init__(
        self,
        folder: Path = FOLDER,
        *,
        services: Sequence[str] = SERVICES,
        environment: Mapping[str, str] | None = None,
        wanted_ports: Mapping[str, int] = WANTED_PORTS,
        extra_programs: Sequence[tuple[Program, int]] = (),
        servers: str = "",
        logins: Path | None = None,
        console: bool = False,
    ) -> None:
        self.folder = folder.absolute()
        self.supervisor = Supervisor(self.folder / "logs")
        self.bootstrap = os.environ.get("RINGFENCE_KAFKA_BOOTSTRAP", "")
        self.dsn = database_dsn() if os.environ.get(DSN) else ""
        self.ports: dict[str, int] = {}
        self.kafka: Kafka | None = None
        self.postgres: Postgres | None = None
        self.keepers: list[ServerKeeper] = []
        self.notes: deque[str] = deque(maxlen=50)
        self._services = tuple(services)
        self._environment = dict(environment or {})
        self._wanted = {**dict.fromkeys(WANTED_PORTS, 0), **wanted_ports}
        self._extra_programs = tuple(extra_programs)
        self._servers = servers
        self._logins = logins.absolute() if logins else None
        self._console = console
        self._undo = AsyncExitStack()

    async def __aenter__(self) -> "Stack":
        async with AsyncExitStack() as undo:
            undo.enter_context(exclusive_folder(self.folder))
            self.ports = choose_ports(self.folder, self._wanted)
            await self._start_servers(undo)
            await asyncio.gather(
                self._prepare_database(), create_topics(kafka_brokers(self.bootstrap))
            )
            undo.push_async_callback(self._stop_programs)
            await self._start_external_systems()
            await self._start_services()
            if self._console:
                await self._start_console()
            save_ports(self.folder, {name: self.ports[name] for name in self._wanted})
            undo.enter_context(stack_file_written(self.folder, self.running))
            undo.push_async_callback(self._keep_servers())
            self._undo = undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._undo.aclose()

    @property
    def running(self) -> RunningStack:
        """The content of the stack file."""
        return RunningStack(
            pid=os.getpid(),
            bootstrap=self.bootstrap,
            dsn=self.dsn_of(OPERATOR),
            ports=self.ports,
            servers_file=str(self.servers_file),
            tokens_file=str(self.tokens_file),
            inbox_folder=str(self.folder / "inbox"),
        )

    @property
    def inbox(self) -> MailFolder:
        """The inbox: the accepted mails, and the SMTP port."""
        return MailFolder(self.folder / "inbox", self.ports["inbox"])

    @property
    def api_token(self) -> str:
        """A bearer token that the accounts service knows."""
        return self.tokens_file.read_text(encoding="utf-8").strip().partition(":")[2]

    @property
    def api_url(self) -> str:
        """The base URL of the API; its paths begin with `/v1`."""
        return f"http://127.0.0.1:{self.ports['accounts']}"

    @property
    def console_url(self) -> str:
        """The address of the web pages."""
        return f"http://127.0.0.1:{self.ports['console']}"

    @property
    def pbx_url(self) -> str:
        """The base URL of the simulated FusionPBX; its controls are under `/_sim/`."""
        return f"http://127.0.0.1:{self.ports['fusionpbx']}"

    def dsn_of(self, login: str) -> str:
        """The database URL for a service's login, or the `operator`'s, with the password."""
        if self._logins is None:
            return self.dsn
        password = password_of(self._logins, login).read_text(encoding="utf-8").strip()
        return as_login(self.dsn, login, password)

    async def health(self, service: str) -> dict[str, Any] | None:
        """A service's report at `/health`; None while it does not answer."""
        return await _read_health(self.ports[f"{service}-health"])

    @property
    def servers_file(self) -> Path:
        """The servers file of the services, which this stack writes at every start."""
        return self.folder / "servers.toml"

    @property
    def tokens_file(self) -> Path:
        """The API tokens, lines of name:token; created at the first start and then kept."""
        return secret_file(self.folder, "accounts-tokens", prefix="local:")

    async def _start_servers(self, undo: AsyncExitStack) -> None:
        """Start Kafka and PostgreSQL together, except those that the environment names."""
        starts: list[Coroutine[Any, Any, None]] = []
        if not self.bootstrap:
            _require_plaintext()
            self.kafka = Kafka(self.folder / "kafka", wanted_port=self.ports["kafka"])
            undo.push_async_callback(asyncio.to_thread, self.kafka.stop)
            starts.append(start_async(self.kafka))
        if not self.dsn:
            self.postgres = Postgres(self.folder / POSTGRES, wanted_port=self.ports["postgres"])
            undo.push_async_callback(asyncio.to_thread, self.postgres.stop)
            starts.append(start_async(self.postgres))
        await _all(starts)
        if self.kafka:
            self.bootstrap, self.ports["kafka"] = self.kafka.bootstrap, self.kafka.port
        if self.postgres:
            self.dsn, self.ports["postgres"] = self.postgres.dsn(), self.postgres.port
            self._logins = self._logins or self.folder / "secrets"

    def _keep_servers(self) -> Callable[[], Awaitable[None]]:
        """Start an embedded server again whenever it ends; returns what ends that."""
        servers = (("Kafka", self.kafka), ("PostgreSQL", self.postgres))
        self.keepers = [ServerKeeper(n, s, self.notes.append) for n, s in servers if s is not None]
        tasks = [asyncio.create_task(keeper.run()) for keeper in self.keepers]

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        return end

    async def _migrate(self) -> None:
        """Bring the schema up to date."""
        await migrate(self.dsn, MIGRATIONS)

    async def _prepare_database(self) -> None:
        """Apply the migrations, and create a login for each service and for commands."""
        await self._migrate()
        if self._logins is not None:
            self._logins.mkdir(mode=0o700, parents=True, exist_ok=True)
            ensure_secret(password_of(self._logins, OPERATOR))
            await create_logins(self.dsn, self._logins)

    async def _start_external_systems(self) -> None:
        """Start the simulated external systems: the mail server, the PBX and `extra_programs`."""
        write_simulator_files(self.folder, self.pbx_url, self._servers)
        inbox = ["--folder", str(self.folder / "inbox"), "--port", str(self.ports["inbox"])]
        pbx = ["--port", str(self.ports["fusionpbx"]), "--state", str(self.folder / "pbx.journal")]
        pbx += ["--seed", str(self.folder / "pbx.json")]
        (self.folder / "inbox").mkdir(exist_ok=True)
        for name, module, arguments in (
            ("inbox", "ringfence_local.mail.inbox", inbox),
            ("fusionpbx", "ringfence_simulators.fusionpbx", pbx),
        ):
            await self.supervisor.start(Program(name, python_module(module, *arguments)))
        for program, port in self._extra_programs:
            self.ports[program.name] = port
            await self.supervisor.start(program)
        for name in self._external_names:
            await self._wait_until_up(name, partial(_listens, self.ports[name]))

    @property
    def _external_names(self) -> list[str]:
        return [*_OUTSIDE, *(program.name for program, _ in self._extra_programs)]

    async def _start_services(self) -> None:
        if push := self._environment.get("RINGFENCE_CDR_INGEST_PUSH_PORT"):
            self.ports["push"] = int(push)
        for service in self._services:
            health = f"{service}-health"
            self.ports[health] = self.ports.get(health) or free_port()
            module = service.replace("-", "_")
            program = Program(service, python_module(module), self._environment_of(service))
            await self.supervisor.start(program)
        for service in self._services:
            await self._wait_until_up(service, partial(self.health, service))
        if "accounts" in self._services:  # its API listens a moment after /health answers
            await self._wait_until_up("accounts", partial(_listens, self.ports["accounts"]))

    async def _start_console(self) -> None:
        """Start the web pages, which need the API and the topics alone."""
        health = "console-health"
        self.ports[health] = self.ports.get(health) or free_port()
        environment = {
            "RINGFENCE_KAFKA_BOOTSTRAP": self.bootstrap,
            "RINGFENCE_HEALTH_PORT": str(self.ports[health]),
            "RINGFENCE_CONSOLE_PORT": str(self.ports["console"]),
            "RINGFENCE_CONSOLE_API": self.api_url,
            **self._environment,
        }
        await self.supervisor.start(Program("console", python_module("console"), environment))
        await self._wait_until_up("console", partial(self.health, "console"))

    def _environment_of(self, service: str) -> dict[str, str]:
        return {
            "RINGFENCE_KAFKA_BOOTSTRAP": self.bootstrap,
            **self._database_of(service),
            "RINGFENCE_HEALTH_PORT": str(self.ports[f"{service}-health"]),
            "RINGFENCE_SERVERS_FILE": str(self.servers_file),
            "RINGFENCE_ACCOUNTS_PORT": str(self.ports["accounts"]),
            "RINGFENCE_ACCOUNTS_TOKENS_FILE": str(self.tokens_file),
            **self._external_settings,
            **(self._client_pages if self._console else {}),
            **self._environment,
        }

    @property
    def _client_pages(self) -> dict[str, str]:
        """Where the clients' own pages are: on this machine alone, beside the console."""
        return {
            "RINGFENCE_CLIENT_PAGE_URL": self.console_url,
            "RINGFENCE_CLIENT_LINK_KEY_FILE": str(secret_file(self.folder, "client-link-key")),
        }

    def _database_of(self, service: str) -> dict[str, str]:
        """The service's login and password file; empty without logins: the environment's hold."""
        if self._logins is None:
            return {}
        return {
            DSN: as_login(self.dsn, service),
            PASSWORD_FILE: str(password_of(self._logins, service)),
        }

    @property
    def _external_settings(self) -> dict[str, str]:
        """The services' settings for the simulated external systems."""
        return {
            "RINGFENCE_NOTIFIER_SMTP_HOST": "127.0.0.1",
            "RINGFENCE_NOTIFIER_SMTP_PORT": str(self.ports["inbox"]),
            "RINGFENCE_NOTIFIER_SENDER": f"billing@{PBX_DOMAIN}",
            "RINGFENCE_ACCOUNTS_DEFAULT_MODE": "live",
        }

    async def _wait_until_up(self, name: str, answers: Callable[[], Awaitable[object]]) -> None:
        """Wait until a program answers. Raises StackError with the end of its log otherwise."""
        child = self.supervisor.children[name]
        for _ in range(round(READY_BOUND_S / _LOOK_EVERY_S)):
            if await answers():
                return
            if child.state != "running":
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        log = self.supervisor.log(name)
        raise StackError(f"{child.line()}: it did not come up. {log} ends:\n{last_lines(log)}")

    async def _stop_programs(self) -> None:
        """Stop the services, all at once, and then the simulated systems."""
        here = set(self.supervisor.children)
        services = here.difference(self._external_names)
        await asyncio.gather(*(self.supervisor.stop(service) for service in services))
        await self.supervisor.stop(*here.intersection(self._external_names))


async def _all(starts: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all together; the first failure cancels the others and is raised unchanged."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _read_health(port: int) -> dict[str, Any] | None:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/health")
    except httpx.TransportError:
        return None
    report: dict[str, Any] = answer.json()
    return report


def _require_plaintext() -> None:
    """Raises StackError if TLS is configured: the embedded broker has plain text only."""
    if (asked := os.environ.get(PROTOCOL, "PLAINTEXT")) != "PLAINTEXT":
        raise StackError(
            f"{PROTOCOL} is {asked}, and the embedded broker speaks plain text alone:"
            " name your brokers in RINGFENCE_KAFKA_BOOTSTRAP, or leave that setting out"
        )
