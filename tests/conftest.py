"""The real parts that tests run against; each starts when the first test asks for it.

Kafka and PostgreSQL, in this order: the ones named by RINGFENCE_KAFKA_BOOTSTRAP and
RINGFENCE_POSTGRES_DSN; containers, where a container engine answers (RINGFENCE_TEST_PARTS=embedded
says no to them); else the embedded ones, in a temporary folder, ended with the session.
Unit tests start nothing and may not open a connection; with --no-servers no test may, and the
tests that need a server are left out.
"""

import asyncio
import os
import socket
import threading
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from ringfence.kafka.admin import create_topics
from ringfence.postgres.migrate import migrate
from ringfence_local.embedded.kafka import Kafka
from ringfence_local.embedded.ports import free_port as find_free_port
from ringfence_local.embedded.postgres import Postgres
from ringfence_local.mail.inbox import Inbox

MIGRATIONS = Path(__file__).parents[1] / "deploy" / "migrations"
SERVERS = {"kafka_bootstrap", "own_kafka_bootstrap", "postgres_server"}
T = TypeVar("T")

# How fast a machine makes examples is no property of the product.
settings.register_profile("all", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("all")
# Tests that need more examples than usual say how many times more; so this lowers theirs, too.
settings.register_profile("fast", settings.get_profile("all"), max_examples=10)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-servers",
        action="store_true",
        help="leave out the tests that need Kafka or PostgreSQL, and refuse every connection",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--no-servers"):
        return
    left_out = [item for item in items if SERVERS & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread, out of the way of the event loops of tests."""
    results: list[T] = []
    failures: list[BaseException] = []

    def target() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a broker on which every topic exists. Tests share it: use ids of your own."""
    if named := os.environ.get("RINGFENCE_KAFKA_BOOTSTRAP"):
        run_apart(create_topics(named))
        yield named
        return
    with _broker(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="module")
def own_kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a broker of this module alone.

    For tests that write what readers of the shared topics could not read, and for those that count
    everything on the topics.
    """
    with _broker(tmp_path_factory.mktemp("own-kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a server on which databases may be made."""
    if named := os.environ.get("RINGFENCE_POSTGRES_DSN"):
        yield named
        return
    if _containers():
        from testcontainers.community.postgres import PostgresContainer

        with PostgresContainer("postgres:18", driver=None) as container:
            yield container.get_connection_url()
        return
    postgres = Postgres(tmp_path_factory.mktemp("postgres"))
    postgres.start()
    try:
        yield postgres.dsn()
    finally:
        postgres.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with all migrations applied, to be copied and not used."""
    name = f"ringfence_template_{uuid.uuid4().hex[:8]}"
    _make_database(postgres_server, name)
    try:
        run_apart(migrate(_with_database(postgres_server, name), MIGRATIONS))
        yield name
    finally:
        _drop_database(postgres_server, name)


@pytest.fixture
def database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """The DSN of a fresh database with all migrations applied; dropped after the test."""
    name = f"ringfence_test_{uuid.uuid4().hex[:12]}"
    _make_database(postgres_server, name, template=migrated_template)
    try:
        yield _with_database(postgres_server, name)
    finally:
        _drop_database(postgres_server, name)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """An SMTP server; its mails by `.messages()`. It refuses by `.refuse(code)`, goes by `.stop()`.

    The recipients `refuse-550@…` and `later-451@…` get the code that they name.
    """
    sink = Inbox(tmp_path / "inbox")
    sink.start()
    try:
        yield sink
    finally:
        sink.stop()


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    return find_free_port()


@pytest.fixture(autouse=True)
def _unit_tests_connect_to_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_unit = "unit" in request.path.relative_to(Path(__file__).parent).parts
    if not is_unit and not request.config.getoption("--no-servers"):
        return

    def refuse(*_: object) -> None:
        raise AssertionError("a unit test opens a connection; it belongs in tests/integration")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def _with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def _make_database(server: str, name: str, template: str = "template0") -> None:
    run_apart(_execute(server, f'create database "{name}" template "{template}"'))


def _drop_database(server: str, name: str) -> None:
    run_apart(_execute(server, f'drop database if exists "{name}" with (force)'))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    kafka = _ContainedKafka() if _containers() else Kafka(folder)
    kafka.start()
    try:
        run_apart(create_topics(kafka.bootstrap))
        yield kafka.bootstrap
    finally:
        kafka.stop()


def _containers() -> bool:
    """Whether a container engine answers, and is wanted."""
    if os.environ.get("RINGFENCE_TEST_PARTS") == "embedded":
        return False
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    import docker  # slow to import, and of no use elsewhere

    try:
        client = docker.from_env(timeout=2)
        client.ping()
        client.close()
    except (docker.errors.DockerException, OSError):
        return False
    return True


class _ContainedKafka:
    """Apache Kafka's own image, advertised under a port of this machine."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        port = find_free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        settings = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        }
        self._container = DockerContainer("apache/kafka:4.3.0").with_bind_ports(port, port)
        for name, value in settings.items():
            self._container.with_env(name, value)

    def start(self) -> None:
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy

        self._container.waiting_for(LogMessageWaitStrategy("Kafka Server started")).start()

    def stop(self) -> None:
        self._container.stop()
