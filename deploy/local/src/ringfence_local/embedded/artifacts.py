"""Kafka's jars: a lock file with their checksums, and their download.

`kafka.lock` beside this file names every jar by its Maven coordinates and SHA-256. jgo downloads
each by its coordinates from a Maven repository; no dependency is resolved at run time, and a jar
with another checksum is never used.
`python -m ringfence_local.embedded.artifacts` writes the lock file again.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jgo
from jgo.maven import MavenContext

from ringfence_local.errors import StackError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.0"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
"""Connects slf4j, to which Kafka logs, with the log4j that Kafka includes, in the same version."""

LOCK = Path(__file__).with_name("kafka.lock")


@dataclass(frozen=True, order=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Its path within a Maven repository folder."""
        folder = Path(*self.group.split(".")) / self.artifact / self.version
        return folder / f"{self.artifact}-{self.version}.jar"


def cache_folder() -> Path:
    """The folder for downloads: `RINGFENCE_CACHE`, or `~/.cache/ringfence`."""
    named = os.environ.get("RINGFENCE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "ringfence"


def read_lock(lock: Path = LOCK) -> list[Jar]:
    """The jars in a lock file, which has lines of `sha256  group:artifact:version`."""
    jars = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        sha256, coordinates = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, sha256))
    return jars


def kafka_class_path(cache: Path | None = None, jars: list[Jar] | None = None) -> list[Path]:
    """The paths of all jars of the lock file, checked; missing ones are downloaded.

    Raises StackError with the file, the reason and what to do.
    """
    folder = (cache or cache_folder()) / "maven"
    wanted = read_lock() if jars is None else jars
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder / ".lock"), ThreadPoolExecutor(6) as threads:
        return list(threads.map(lambda jar: _ensure_jar(jar, folder), wanted))


def _ensure_jar(jar: Jar, folder: Path) -> Path:
    path = folder / jar.path
    if path.is_file():
        if _sha256(path) == jar.sha256:
            return path
        path.unlink()  # truncated, or changed
    _fetch(jar, folder)
    found = _sha256(path)
    if found != jar.sha256:
        path.unlink()
        raise StackError(
            f"Apache Kafka cannot run: {path.name} came with the SHA-256 {found}, and "
            f"{LOCK.name} says {jar.sha256}. It was deleted. Is there a proxy or a mirror that "
            "changes files?"
        )
    return path


def _fetch(jar: Jar, folder: Path) -> None:
    mirror = os.environ.get("RINGFENCE_MAVEN_REPOSITORY")
    context = MavenContext(
        repo_cache=folder,
        local_repos=[],
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=30,
    )
    try:
        context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (OSError, RuntimeError) as error:
        (folder / jar.path).unlink(missing_ok=True)
        raise StackError(
            f"Apache Kafka cannot run: {jar.path.name} is not in {folder} and could not be "
            f"fetched ({type(error).__name__}: {error}). Allow access to a Maven repository (name "
            "a mirror's URL in RINGFENCE_MAVEN_REPOSITORY), or put the file at "
            f"{folder / jar.path}, or name a running broker in RINGFENCE_KAFKA_BOOTSTRAP."
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def resolve_lock(cache: Path) -> list[Jar]:
    """The jars for the lock file: Kafka with its dependencies, and the one for its log.

    They are resolved separately: together, log4j's parent POM would change the versions of Kafka's
    dependencies, for example to an older kafka-clients.
    """
    os.environ["M2_REPO"] = str(cache / "maven")
    found = {(a.groupId, a.artifactId): a for a in jgo.resolve(KAFKA)}
    for artifact in jgo.resolve(LOGGING):
        found.setdefault((artifact.groupId, artifact.artifactId), artifact)
    return sorted(
        Jar(a.groupId, a.artifactId, a.version, _sha256(a.resolve())) for a in found.values()
    )


def main() -> None:
    """Write the lock file again."""
    jars = resolve_lock(cache_folder())
    lines = [f"{jar.sha256}  {jar.group}:{jar.artifact}:{jar.version}\n" for jar in jars]
    LOCK.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
