"""The container engine of this machine, and the images that tests of the deployment run.

Images of ringfence come from `make images`. Those of others are pulled; where that is refused, they
are made of Debian's packages (`stand_ins/`).
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ringfence.version import VERSION
from ringfence_local.embedded.artifacts import kafka_class_path

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).with_name("stand_ins")
DEBIAN = "docker.io/library/debian:bookworm-slim"
KAFKA = "docker.io/apache/kafka:4.1.0"
POSTGRES = "docker.io/library/postgres:16-bookworm"
OURS = (
    "cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts", "console",
    "tools", "simulators",
)  # fmt: skip
_PULL_BOUND_S = 600.0
_BUILD_BOUND_S = 1800.0


class EngineFailed(Exception):
    """A command of the engine failed; its last lines are in the message."""


@dataclass(frozen=True)
class Engine:
    """Podman or Docker, by its command."""

    path: str

    @property
    def is_docker(self) -> bool:
        """Whether it is Docker."""
        return Path(self.path).name.startswith("docker")

    def run(self, *arguments: str, timeout_s: float = 120.0) -> str:
        """What a command of the engine prints. Raises EngineFailed."""
        return run([self.path, *arguments], timeout_s=timeout_s)

    def write(self, file: IO[bytes], *arguments: str, timeout_s: float = 120.0) -> None:
        """Write what a command of the engine prints into a file. Raises EngineFailed."""
        command = [self.path, *arguments]
        done = subprocess.run(command, stdout=file, timeout=timeout_s, check=False)
        if done.returncode != 0:
            raise EngineFailed(f"{' '.join(command)}: exit status {done.returncode}")

    def succeeds(self, *arguments: str, timeout_s: float = 120.0) -> bool:
        """Whether a command of the engine ends well."""
        try:
            self.run(*arguments, timeout_s=timeout_s)
        except EngineFailed:
            return False
        return True

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        (found,) = json.loads(self.run("container", "inspect", name))
        return dict(found)

    def has_image(self, name: str) -> bool:
        """Whether an image is on this machine."""
        return self.succeeds("image", "inspect", name)


def run(
    command: list[str],
    *,
    timeout_s: float,
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
) -> str:
    """Run a command; what it prints. Raises EngineFailed with the end of its errors."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=folder,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise EngineFailed(f"{' '.join(command)}: not within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise EngineFailed(f"{' '.join(command)}: exit status {done.returncode}\n{end}")
    return done.stdout


def find_engine() -> Engine | str:
    """The engine that ENGINE names, podman, or docker; or why there is none, in one line."""
    named = os.environ.get("ENGINE")
    path = shutil.which(named) if named else shutil.which("podman") or shutil.which("docker")
    if path is None:
        return f"no container engine is here ({named or 'podman or docker'}): install podman"
    engine = Engine(path)
    try:
        engine.run("info", timeout_s=60)
    except EngineFailed as failure:
        return f"the container engine {path} does not answer: {str(failure).splitlines()[-1]}"
    return engine


def image(name: str) -> str:
    """The full name of an image of ringfence."""
    return f"localhost/ringfence/{name}:{VERSION}"


def have_images(engine: Engine) -> None:
    """Have every image that the stack needs, but Prometheus and Grafana. Raises EngineFailed."""
    with build_flags(engine) as flags:
        pulls = True
        for name in (DEBIAN, KAFKA, POSTGRES):
            if engine.has_image(name):
                continue
            pulls = pulls and engine.succeeds("pull", "-q", name, timeout_s=_PULL_BOUND_S)
            if not pulls:
                _make_stand_in(engine, name, flags)
        environment = {**os.environ, "BUILD_FLAGS": " ".join(flags)}
        command = ["make", "images", f"ENGINE={engine.path}", f"VERSION={VERSION}"]
        run(command, timeout_s=_BUILD_BOUND_S, environment=environment)


@contextmanager
def build_flags(engine: Engine) -> Iterator[list[str]]:
    """What `build` is given on this machine; BUILD_FLAGS of the environment come first.

    Podman builds without a runtime and in this machine's network, as root needs it in a container.
    Where this machine names certificates of its own, pip reads them from a folder that is mounted
    during the build and is not part of the image.
    """
    if given := os.environ.get("BUILD_FLAGS"):
        yield given.split()
        return
    if engine.is_docker:
        yield []
        return
    flags = ["--isolation", "chroot", "--network", "host"]
    with tempfile.TemporaryDirectory() as folder:
        if certificates := os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"):
            shutil.copy(certificates, Path(folder) / "ca.crt")
            settings = "[global]\ncert = /etc/xdg/pip/ca.crt\n"
            (Path(folder) / "pip.conf").write_text(settings, encoding="utf-8")
            flags += ["-v", f"{folder}:/etc/xdg/pip:ro"]
        yield flags


def _make_stand_in(engine: Engine, name: str, flags: list[str]) -> None:
    """Make an image that cannot be pulled, under the name by which it is asked for."""
    if name == DEBIAN:
        run([str(STAND_INS / "debian"), engine.path, name], timeout_s=_BUILD_BOUND_S)
        return
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context"
        shutil.copytree(STAND_INS / ("kafka" if name == KAFKA else "postgres"), context)
        if name == KAFKA:
            (context / "jars").mkdir()
            for jar in kafka_class_path():
                shutil.copy(jar, context / "jars")
        engine.run("build", "-q", *flags, "-t", name, folder + "/context", timeout_s=_BUILD_BOUND_S)
