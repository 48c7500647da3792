"""`deploy/compose.yaml` as a project of its own: other ports and volumes, nothing left behind."""

import os
import sys
import uuid
from email.message import EmailMessage
from pathlib import Path

import yaml

from ringfence.version import VERSION
from ringfence_local.embedded.ports import free_port
from tests.deploy.containers import DEBIAN, ROOT, Engine, image, run
from tests.deploy.mail_archive import read_mails

COMPOSE = ROOT / "deploy" / "compose.yaml"
REPLICAS = Path(__file__).with_name("replicas.yaml")
SERVERS = Path(__file__).with_name("servers.toml")
STORING = ("cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts")
SERVICES = (*STORING, "console")
STORES = ("kafka", "postgres")
AROUND = ("secrets", "migrate", "topics", "inbox", "fusionpbx", "sample")
_WAITS_FOR_OTHERS = (4, 6)
_OURS = ("RINGFENCE_", "COMPOSE_")
_COMPOSE_BOUND_S = 300.0


class ComposeStack:
    """The project. `api_url`, `api_token`, `pbx_url` and `inbox` are what `make demo` looks at."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.project = f"ringfence-test-{uuid.uuid4().hex[:8]}"
        self._command = self._compose_command(folder)
        ports = {name: str(free_port()) for name in ("API", "CONSOLE", "PUSH", "PBX", "PROMETHEUS")}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            **{f"RINGFENCE_{name}_PORT": port for name, port in ports.items()},
            "RINGFENCE_SERVERS": str(SERVERS),
            "RINGFENCE_DEFAULT_MODE": "live",
            "RINGFENCE_VERSION": VERSION,
        }
        self.pbx_url = f"http://127.0.0.1:{ports['PBX']}"
        self.console_url = f"http://127.0.0.1:{ports['CONSOLE']}"
        self.push_url = f"http://127.0.0.1:{ports['PUSH']}"
        self.inbox = ContainedInbox(self)

    def _compose_command(self, folder: Path) -> list[str]:
        """`docker compose`, or podman-compose; an old Podman gets a file that waits for nothing."""
        (folder / "empty.env").touch()
        shared = ["-p", self.project, "--env-file", str(folder / "empty.env"), "--profile", "demo"]
        if self.engine.is_docker:
            return [self.engine.path, "compose", *shared, "-f", str(COMPOSE)]
        file = COMPOSE
        version = self.engine.run("version", "--format", "{{.Client.Version}}").split(".")
        if (int(version[0]), int(version[1])) < _WAITS_FOR_OTHERS:
            file = folder / "compose.yaml"
            file.write_text(without_depends_on(), encoding="utf-8")
        command = [sys.executable, "-m", "podman_compose", "--podman-path", self.engine.path]
        return [*command, "--in-pod", "false", *shared, "-f", str(file)]

    def up(self, *services: str, replicas: bool = False, in_order: bool = False) -> None:
        """Start these services alone, in the background; `in_order`, as each waits for others."""
        files = ["-f", str(REPLICAS)] if replicas else []
        self._compose(*files, "up", "-d", *([] if in_order else ["--no-deps"]), *services)

    def down(self) -> None:
        """Remove the containers; volumes stay."""
        self._compose("down")

    def _compose(self, *arguments: str) -> None:
        command = [*self._command, *arguments]
        run(command, timeout_s=_COMPOSE_BOUND_S, environment=self._environment)

    def containers(self, service: str, *, running: bool = False) -> list[str]:
        """The ids of a service's containers, the first replica first."""
        labels = {"project": self.project, "service": service}
        filters = [f"--filter=label=com.docker.compose.{name}={v}" for name, v in labels.items()]
        listed = self.engine.run(
            "ps", *([] if running else ["-a"]), *filters, "--format", "{{.Names}} {{.ID}}"
        )
        return [line.split()[1] for line in sorted(listed.splitlines())]

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in the first container of a service."""
        return self.engine.run("exec", self.containers(service, running=True)[0], *command)

    def works(self, container: str) -> bool:
        """Whether a service says that it works, by the question that its image asks of it."""
        return self.engine.succeeds("exec", container, "python", "-m", "ringfence.observe.probe")

    def all_work(self) -> bool:
        """Whether every container of every service does."""
        return all(self.works(one) for service in SERVICES for one in self.containers(service))

    def kill(self, container: str) -> None:
        """`kill -9` of its process, from outside: an engine that kills does not start again."""
        pid = self.engine.inspect(container)["State"]["Pid"]
        assert pid > 0, f"{container} does not run"
        outside = [
            "run",
            "--rm",
            "--pid",
            "host",
            "--privileged",
            "--network",
            "none",
            "--user",
            "0:0",
        ]
        self.engine.run(*outside, DEBIAN, "sh", "-c", f"kill -9 {pid}")

    @property
    def api_urls(self) -> list[str]:
        """Where each running replica of the API is reached now."""
        ports = [
            self.engine.run("port", one, "8080")
            for one in self.containers("accounts", running=True)
        ]
        return [f"http://{port.split()[0]}" for port in ports if port.strip()]

    @property
    def api_url(self) -> str:
        """Where the API is."""
        return self.api_urls[0]

    @property
    def api_token(self) -> str:
        """Its token, as docs/compose.md says to read it."""
        return self.inside("accounts", "cat", "/run/ringfence/tokens").strip().partition(":")[2]

    @property
    def push_password(self) -> str:
        """With which calls are posted."""
        return self.inside("cdr-ingest", "cat", "/run/pbx/fusionpbx").strip()

    def tools(self, *command: str) -> str:
        """What `ringfence` of the tools image prints, with the database. Raises EngineFailed."""
        password = "/run/ringfence/postgres-password"
        return self.engine.run(
            *("run", "--rm", "--network", f"{self.project}_default", "--user", "0:0"),
            *("-v", f"{self.project}_secrets-postgres:/run/ringfence:ro"),
            *("-e", "RINGFENCE_KAFKA_BOOTSTRAP=kafka:9092"),
            *("-e", "RINGFENCE_POSTGRES_DSN=postgresql://postgres@postgres:5432/ringfence"),
            *("-e", f"RINGFENCE_POSTGRES_PASSWORD_FILE={password}", image("tools"), *command),
            timeout_s=300,
        )

    def log(self, service: str, lines: int = 30) -> str:
        """The last lines of a service's containers."""
        logs = [
            run(["bash", "-c", f"{self.engine.path} logs --tail {lines} {one} 2>&1"], timeout_s=60)
            for one in self.containers(service)
        ]
        return "\n".join(logs)

    def remove(self) -> None:
        """Remove every container, volume and network of this project, and no other."""
        project = f"--filter=label=com.docker.compose.project={self.project}"
        if ids := self.engine.run("ps", "-aq", project).split():
            self.engine.succeeds("kill", *ids)
            self.engine.run("rm", "-f", "-v", *ids)
        for kind in ("volume", "network"):
            names = self.engine.run(kind, "ls", "--format", "{{.Name}}").split()
            if ours := [name for name in names if name.startswith(f"{self.project}_")]:
                self.engine.run(kind, "rm", *ours)


class ContainedInbox:
    """The mails that the profile's sink has taken."""

    def __init__(self, stack: ComposeStack) -> None:
        self._stack = stack

    def messages(self) -> list[EmailMessage]:
        """The accepted mails, the oldest first."""
        inbox = self._stack.containers("inbox", running=True)[0]
        return read_mails(self._stack.engine, inbox)


def without_depends_on() -> str:
    """The compose file for a Podman that cannot wait for another container's health or end."""
    content = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    for service in content["services"].values():
        service.pop("depends_on", None)
        service["volumes"] = [_absolute(volume) for volume in service.get("volumes", [])]
    return str(yaml.safe_dump(content))


def _absolute(volume: str) -> str:
    return f"{COMPOSE.parent}{volume[1:]}" if volume.startswith("./") else volume
