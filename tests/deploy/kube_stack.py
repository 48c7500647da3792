"""The demo overlay of `deploy/kubernetes`, played by Podman in a network of its own."""

import json
import shutil
import tempfile
import uuid
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import yaml

from ringfence_local.embedded.ports import free_port
from tests.deploy.containers import ROOT, Engine, image, run
from tests.deploy.kube_manifests import Document, PlayedPod, pods, settings_of
from tests.deploy.mail_archive import read_mails

SERVERS = Path(__file__).with_name("servers.toml")
MANIFESTS = ROOT / "deploy" / "kubernetes"
_KUSTOMIZE_BOUND_S = 60.0


class KubeStack:
    """The overlay's pods, under a prefix of their own; nothing of them is left after `remove`."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.prefix = f"ringfence-test-{uuid.uuid4().hex[:6]}-"
        self.network = f"{self.prefix}net"
        self.overlay = folder / "kubernetes" / "overlays" / "demo"
        shutil.copytree(MANIFESTS, folder / "kubernetes")
        shutil.copy(SERVERS, self.overlay / "servers.toml")
        self._write_secrets(folder)
        self._ports = {
            app: free_port() for app in ("accounts", "cdr-ingest", "fusionpbx", "console")
        }
        self.api_url = f"http://127.0.0.1:{self._ports['accounts']}"
        self.api_urls = [self.api_url]
        self.push_url = f"http://127.0.0.1:{self._ports['cdr-ingest']}"
        self.console_url = f"http://127.0.0.1:{self._ports['console']}"
        self.pbx_url = f"http://127.0.0.1:{self._ports['fusionpbx']}"
        self.inbox = KubeInbox(self)
        self.documents = self._built(folder)
        self.pods = pods(
            self.documents,
            {
                "accounts": {8080: self._ports["accounts"]},
                "cdr-ingest": {8070: self._ports["cdr-ingest"]},
                "fusionpbx": {8090: self._ports["fusionpbx"]},
                "console": {8082: self._ports["console"]},
            },
        )

    def _write_secrets(self, folder: Path) -> None:
        """As the overlay's head says, by the tools image."""
        self.engine.run(
            *("run", "--rm", "--network", "none", "--user", "0:0", "-v", f"{self.overlay}:/demo"),
            *(image("tools"), "secrets", "create"),
            *("--folder", "/demo/secrets", "--pbx-key", "fusionpbx"),
        )

    def _built(self, folder: Path) -> list[Document]:
        """What kustomize makes of the overlay, with a prefix before every name."""
        prefixed = folder / "kubernetes" / "prefixed"
        prefixed.mkdir()
        content = {"namePrefix": self.prefix, "resources": ["../overlays/demo"]}
        (prefixed / "kustomization.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        command = ["kubectl", "kustomize", str(prefixed)]
        return list(yaml.safe_load_all(run(command, timeout_s=_KUSTOMIZE_BOUND_S)))

    def of(self, app: str) -> list[PlayedPod]:
        """The pods of a Deployment or a Job, by the name that it has in the overlay."""
        return [pod for pod in self.pods if pod.app == app]

    def apply(self) -> None:
        """Play everything, in the order in which kustomize gives it: nothing waits for anything."""
        self.engine.run("network", "create", self.network)
        self._play([each for each in self.documents if each["kind"] == "PersistentVolumeClaim"])
        for pod in self.pods:
            self.play(pod)

    def play(self, pod: PlayedPod) -> None:
        """Start a pod that does not run, reached under its Service's name."""
        documents = [*settings_of(self.documents), pod.document]
        self._play(documents, f"{self.network}:alias={pod.app}")

    def _play(self, documents: list[Document], network: str | None = None) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump_all(documents, file)
            file.flush()
            joined = ["--network", network] if network else []
            self.engine.run("kube", "play", *joined, file.name)

    def container(self, pod: PlayedPod) -> str:
        """The name of its container."""
        return f"{pod.name}-{pod.app}"

    def state(self, pod: PlayedPod) -> dict[str, Any]:
        """What the engine says of its container's state."""
        return dict(self.engine.inspect(self.container(pod))["State"])

    def inside(self, pod: PlayedPod, *command: str) -> str:
        """What a command prints in the pod's container."""
        return self.engine.run("exec", self.container(pod), *command)

    def ended_well(self, pod: PlayedPod) -> bool:
        """Whether a job's pod has done its work."""
        state = self.state(pod)
        return bool(state["Status"] == "exited" and state["ExitCode"] == 0)

    def answers(self, pod: PlayedPod, path: str) -> bool:
        """Whether a probe of the pod would succeed."""
        ask = f"import urllib.request as r; r.urlopen('http://127.0.0.1:8081{path}', timeout=4)"
        return self.engine.succeeds("exec", self.container(pod), "python", "-c", ask)

    def stop(self, pod: PlayedPod) -> None:
        """SIGTERM, as a cluster ends a pod: with the time that the manifest grants."""
        self.engine.run("stop", "-t", str(pod.grace_s), self.container(pod))

    def delete(self, pod: PlayedPod) -> None:
        """Remove the pod; claims and secrets stay."""
        self.engine.run("pod", "rm", "-f", pod.name)

    @property
    def api_token(self) -> str:
        """The API's first token, as it was written for the overlay."""
        tokens = (self.overlay / "secrets" / "accounts" / "tokens").read_text(encoding="utf-8")
        return tokens.strip().partition(":")[2]

    @property
    def push_password(self) -> str:
        """With which calls are posted."""
        return (self.overlay / "secrets" / "pbx" / "fusionpbx").read_text(encoding="utf-8").strip()

    def tools(self, *command: str) -> str:
        """What `ringfence` of the tools image prints, with the database. Raises EngineFailed."""
        secret = self.overlay / "secrets" / "postgres"
        return self.engine.run(
            *("run", "--rm", "--network", self.network, "--user", "0:0"),
            *("-v", f"{secret}:/run/ringfence:ro", "-e", "RINGFENCE_KAFKA_BOOTSTRAP=kafka:9092"),
            *("-e", "RINGFENCE_POSTGRES_DSN=postgresql://postgres@postgres:5432/ringfence"),
            *("-e", "RINGFENCE_POSTGRES_PASSWORD_FILE=/run/ringfence/postgres-password"),
            *(image("tools"), *command),
            timeout_s=300,
        )

    def log(self, pod: PlayedPod, lines: int = 30) -> str:
        """The last lines of its container."""
        command = f"{self.engine.path} logs --tail {lines} {self.container(pod)} 2>&1"
        return run(["bash", "-c", f"{command} || true"], timeout_s=60)

    def remove(self) -> None:
        """Remove every pod, volume, secret and network of this stack, and no other."""
        listed = json.loads(self.engine.run("pod", "ps", "--format", "json") or "[]")
        names = [pod["Name"] for pod in listed if pod["Name"].startswith(self.prefix)]
        # podman refuses to remove a container that ends just as it is killed: once more then.
        if names and not self.engine.succeeds("pod", "rm", "-f", *names):
            self.engine.run("pod", "rm", "-f", "-i", *names)
        for kind in ("volume", "network"):
            names = self.engine.run(kind, "ls", "--format", "{{.Name}}").split()
            if ours := [name for name in names if name.startswith(self.prefix)]:
                self.engine.run(kind, "rm", *ours)

    def leftovers(self) -> list[str]:
        """What the engine still has of this stack."""
        asked = (("pod", "ps"), ("ps", "-a"), ("volume", "ls"), ("network", "ls"))
        column = {"ps": "{{.Names}}"}
        return [
            name
            for command in asked
            for name in self.engine.run(
                *command, "--format", column.get(command[0], "{{.Name}}")
            ).split()
            if name.startswith(self.prefix)
        ]


class KubeInbox:
    """The mails that the overlay's sink has taken."""

    def __init__(self, stack: KubeStack) -> None:
        self._stack = stack

    def messages(self) -> list[EmailMessage]:
        """The accepted mails, the oldest first."""
        (pod,) = self._stack.of("inbox")
        return read_mails(self._stack.engine, self._stack.container(pod))
