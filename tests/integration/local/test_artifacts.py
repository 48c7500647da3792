"""Kafka's jars from a mirror on this machine: a working one, a broken one, and none."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ringfence_local.embedded.artifacts import LOCK, Jar, kafka_class_path, read_lock
from ringfence_local.errors import StackError

CONTENT = b"as good as a jar"
JAR = Jar("net.example", "broker", "1.0", hashlib.sha256(CONTENT).hexdigest())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository that serves this folder."""
    folder = tmp_path / "mirror"
    (folder / JAR.path).parent.mkdir(parents=True)
    (folder / JAR.path).write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    monkeypatch.setenv("RINGFENCE_MAVEN_REPOSITORY", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    threading.Thread(target=server.serve_forever).start()
    yield folder
    server.shutdown()
    server.server_close()


def test_jars_are_downloaded_once(mirror: Path, tmp_path: Path) -> None:
    """Cached jars need no repository."""
    [path] = kafka_class_path(tmp_path / "cache", [JAR])
    assert path.read_bytes() == CONTENT
    (mirror / JAR.path).unlink()
    assert kafka_class_path(tmp_path / "cache", [JAR]) == [path]


def test_a_truncated_download_is_repeated(mirror: Path, tmp_path: Path) -> None:
    """An existing file is checked by its checksum."""
    [path] = kafka_class_path(tmp_path / "cache", [JAR])
    path.write_bytes(CONTENT[:5])
    assert kafka_class_path(tmp_path / "cache", [JAR]) == [path]
    assert path.read_bytes() == CONTENT


def test_a_jar_with_another_checksum_is_never_used(mirror: Path, tmp_path: Path) -> None:
    """A changed mirror: the error names both checksums, and the file is deleted."""
    (mirror / JAR.path).write_bytes(b"something else")
    with pytest.raises(StackError, match=rf"broker-1\.0\.jar came with .*{JAR.sha256}"):
        kafka_class_path(tmp_path / "cache", [JAR])
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_an_unavailable_jar_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network the error names the file, its path and alternatives."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = nobody.getsockname()[1]
        monkeypatch.setenv("RINGFENCE_MAVEN_REPOSITORY", f"http://127.0.0.1:{port}")
        with pytest.raises(StackError) as failed:
            kafka_class_path(tmp_path / "cache", [JAR])
    assert "broker-1.0.jar" in str(failed.value)
    assert str(tmp_path / "cache" / "maven" / JAR.path) in str(failed.value)
    assert "RINGFENCE_KAFKA_BOOTSTRAP" in str(failed.value)


def test_the_lock_names_one_version_of_kafka_and_no_host() -> None:
    """Every Kafka jar has the broker's version, and the lock file names no repository."""
    jars = read_lock()
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.3.0"}
    assert {jar.version for jar in jars if jar.group == "org.apache.logging.log4j"} == {"2.25.4"}
    assert "//" not in LOCK.read_text()
