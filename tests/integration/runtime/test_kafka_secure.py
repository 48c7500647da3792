"""Every kind of client against a real broker with TLS and logins."""

import asyncio
import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization

from console.feed.hub import Hub
from console.feed.reader import FeedReader
from console.feed.topics import TopicLooks, TopicWatch
from console.web.formats import Formats
from ringfence.kafka.access.acls import CONSOLE, SETUP, accesses
from ringfence.kafka.access.granting import grants
from ringfence.kafka.admin import create_topics
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.brokers import Brokers, client_arguments
from ringfence.kafka.command import topics
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.kafka.refusal import connection_problem
from ringfence.observe.health import Progress
from ringfence.secret_files import KAFKA_LOGINS
from ringfence.settings import CommonSettings
from ringfence_contracts.errors import Retry
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Outgoing, Received, Rejected
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ALL_TOPICS,
    CALL_COMPLETED,
    CALL_RATED,
    PARTITIONS,
    PAYMENT_RECEIVED,
    SERVICE_RESTORED,
    Topic,
    topic_configs,
)
from ringfence_doctor.platform import examine_kafka
from ringfence_local.embedded.kafka import Kafka
from ringfence_local.embedded.kafka_secure import SecureListener
from ringfence_local.errors import StackError
from ringfence_local.stack import Stack
from ringfence_testing.wait import until
from tests.support.narrow import present

USER, PASSWORD = "admin", "correct0horse0battery"
# aiokafka leaves the socket of a refused login to the garbage collector, in whichever test that is.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LOGINS = (USER, *(access.login for access in accesses()), SETUP)


def as_pem_for_kafka(certificate: trustme.LeafCert) -> bytes:
    """Kafka reads a key in PKCS 8 alone; trustme writes the older form."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pkcs8 + b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


class Secured:
    """The broker, and the settings of its clients as files."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        (folder / "broker.pem").write_bytes(as_pem_for_kafka(authority.issue_cert("127.0.0.1")))
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        stranger.cert_pem.write_to_path(str(folder / "stranger.pem"))
        (folder / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
        (folder / "wrong").write_text("wrong0password\n", encoding="utf-8")
        self.folder = folder
        listener = SecureListener(
            folder / "broker.pem", dict.fromkeys(LOGINS, PASSWORD), administrators=[USER]
        )
        self.kafka = Kafka(folder / "kafka", secure=listener)

    def variables(
        self, *, bootstrap: str = "", login: str = "password", ca: str = "ca.pem", **changed: Any
    ) -> dict[str, Any]:
        return {
            "kafka_bootstrap": bootstrap or self.kafka.secure_bootstrap,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_user": USER,
            "kafka_sasl_password_file": str(self.folder / login),
            "kafka_ca_file": str(self.folder / ca),
            **changed,
        }

    def brokers(self, **changed: Any) -> Brokers:
        return CommonSettings(**self.variables(**changed)).brokers()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with access control, its rules and topics made by our own commands over TLS."""
    secured = Secured(tmp_path_factory.mktemp("secured"))
    secured.kafka.start()
    try:
        granted = ran(secured, "acls", "--apply")
        assert granted.output == f"{len(list(grants()))} rules are granted\n"
        made = ran(secured, "create", kafka_sasl_user=SETUP)
        assert f"{len(topic_configs())} topics created" in made.output
        yield secured
    finally:
        secured.kafka.stop()


def ran(secured: Secured, *arguments: str, status: int = 0, **changed: Any) -> Result:
    """`ringfence topics` with these settings in its environment."""
    environment = {
        f"RINGFENCE_{name.upper()}": value for name, value in secured.variables(**changed).items()
    }
    # In a thread: the command runs an event loop of its own.
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(CliRunner().invoke, topics, arguments, env=environment).result()
    assert result.exit_code == status, result.output
    return result


def event(key: str, topic: Topic = SERVICE_RESTORED) -> Outgoing:
    return Outgoing(
        topic=topic,
        key=key,
        value=b'{"number": 1}',
        event_id=derive("test", key, 1),
        time=datetime(2026, 11, 21, tzinfo=UTC),
        source="test",
    )


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
async def test_a_record_is_written_and_read_back(secured: Secured, mechanism: str) -> None:
    brokers, key = secured.brokers(kafka_sasl_mechanism=mechanism), uuid.uuid4().hex
    async with open_publisher(brokers, source="test") as publisher:
        await publisher.publish([event(key)])
    reader = AIOKafkaConsumer(
        SERVICE_RESTORED.name, **client_arguments(brokers), auto_offset_reset="earliest"
    )
    async with reader, asyncio.timeout(30):
        while (await reader.getone()).key != key.encode():
            pass


@pytest.mark.parametrize(
    ("kind", "service"), [(BatchRunner, "notifier-channels"), (GuardedAgents, "notifier")]
)
async def test_both_consumers_read_by_a_services_own_login(
    secured: Secured, kind: Any, service: str
) -> None:
    """A service reads in its group, parks rejects and commits; nothing else is granted."""
    brokers, key = secured.brokers(kafka_sasl_user="notifier"), uuid.uuid4().hex
    writer = secured.brokers(kafka_sasl_user="suspender")
    seen: list[bytes | None] = []

    async def handle(batch: list[Received]) -> Outcome:
        seen.extend(record.key for record in batch)
        return Outcome(reject=[Rejected(record, "a test") for record in batch])

    stop = asyncio.Event()
    async with open_publisher(brokers, source="test") as publisher:
        runner = kind(
            RecordProcessor(handle, publisher, consumer="notifier"),
            (SERVICE_RESTORED,),
            bootstrap=brokers,
            group=service,
            progress=Progress("test"),
        )
        running = asyncio.create_task(runner.run(stop))
        try:
            async with open_publisher(writer, source="suspender") as other:
                await other.publish([event(key)])
            await until(lambda: key.encode() in seen, timeout_s=60)
        finally:
            stop.set()
            await running


@pytest.mark.parametrize(
    ("login", "topic", "may"),
    [
        ("accounts", PAYMENT_RECEIVED, True),
        ("rating", CALL_RATED, True),
        ("rating", PAYMENT_RECEIVED, False),
        ("notifier", PAYMENT_RECEIVED, False),
        ("cdr-ingest", CALL_COMPLETED, True),
        ("cdr-ingest", CALL_RATED, False),
    ],
)
async def test_a_login_writes_its_own_topics_alone(
    secured: Secured, login: str, topic: Topic, may: bool
) -> None:
    brokers = secured.brokers(kafka_sasl_user=login)
    async with open_publisher(brokers, source=login) as publisher:
        if may:
            await publisher.publish([event("a", topic)])
            return
        with pytest.raises(Retry, match="AuthorizationFailed"):
            await publisher.publish([event("a", topic)])


async def test_the_console_reads_every_topic_and_writes_none(secured: Secured) -> None:
    """By its own login, which is in no group and sees the offsets of those that are."""
    brokers, hub, stop = secured.brokers(kafka_sasl_user=CONSOLE), Hub(), asyncio.Event()
    reader = FeedReader(brokers, hub, Formats("en_CA", "UTC"), Progress("feed"))
    key = uuid.uuid4().hex
    reading = asyncio.create_task(reader.run(stop))
    try:
        async with open_publisher(secured.brokers(), source="test") as publisher:

            async def is_shown() -> bool:
                """Whether an event of this account was given to a browser: it reads new ones."""
                await publisher.publish([event(key)])
                return any(happening.account_id == key for happening in await news.next(1.0))

            with hub.listening() as news:
                await until(is_shown, timeout_s=30, what="the console shows an event")
    finally:
        stop.set()
        await reading
    async with AIOKafkaProducer(**client_arguments(brokers)) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(SERVICE_RESTORED.name, b"forged", key=key.encode())
    admin = AIOKafkaAdminClient(**client_arguments(brokers))
    await admin.start()
    try:
        await until(lambda: has_offsets(admin, "rating"), timeout_s=30, what="offsets are seen")
    finally:
        await admin.close()


async def looked_at(brokers: Brokers) -> TopicWatch:
    """What a console with this login finds on the brokers."""
    watch, stop = TopicWatch(), asyncio.Event()
    looking = asyncio.create_task(TopicLooks(brokers, watch, Progress("topics")).run(stop))

    def is_done() -> bool:
        """Whether groups were asked for; the broker's first group needs a moment."""
        watch.ask()
        found = bool(watch.groups_problem or watch.problem) or watch.looked_at is not None
        return found and "asks again by itself" not in watch.groups_problem

    try:
        await until(is_done, timeout_s=30, what="the offsets are read, or a reason is given")
    finally:
        stop.set()
        await looking
    return watch


async def test_the_console_sees_how_far_every_reader_is(secured: Secured) -> None:
    """By its own login; without these rights it says so, and shows no guess."""
    watch = await looked_at(secured.brokers(kafka_sasl_user=CONSOLE))
    assert (watch.problem, watch.groups_problem) == ("", "")
    assert set(watch.states) == {topic.name for topic in ALL_TOPICS}
    assert {state.partitions for state in watch.states.values()} == {PARTITIONS}
    found = {lag.group for lag in watch.states[ACCOUNT_CHANGED.name].groups or ()}
    assert found == set(ACCOUNT_CHANGED.readers)

    other = await looked_at(secured.brokers(kafka_sasl_user="rating"))
    assert "not allowed to see this" in other.groups_problem
    assert "`ringfence topics acls --apply`" in other.groups_problem
    assert [state.groups for state in other.states.values() if state.groups is not None] == []


async def has_offsets(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Whether the offsets of a group can be seen; the broker's first group needs a moment."""
    try:
        await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:
        return False
    return True


async def test_a_certificate_of_an_unknown_authority_is_refused(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    brokers = secured.brokers(ca="stranger.pem")
    with caplog.at_level(logging.ERROR), pytest.raises(KafkaConnectionError):
        async with open_publisher(brokers, source="test"):
            pass
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    problem = present(await connection_problem(brokers))
    assert "is not accepted by" in problem.message
    assert "stranger.pem" in problem.message
    assert "RINGFENCE_KAFKA_CA_FILE" in problem.remedy


async def test_a_broker_with_another_host_name_is_refused(secured: Secured) -> None:
    port = secured.kafka.secure_port
    problem = present(await connection_problem(secured.brokers(bootstrap=f"localhost:{port}")))
    assert "mismatch" in problem.message


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_wrong_password_is_reported_as_such(
    secured: Secured, caplog: pytest.LogCaptureFixture, mechanism: str
) -> None:
    brokers = secured.brokers(login="wrong", kafka_sasl_mechanism=mechanism)
    with caplog.at_level(logging.ERROR), pytest.raises(KafkaConnectionError):
        async with open_publisher(brokers, source="test"):
            pass
    assert "Authentication failed" in caplog.text
    assert "wrong0password" not in caplog.text
    problem = present(await connection_problem(brokers))
    assert f"refuses the login 'admin' by {mechanism}" in problem.message
    assert "RINGFENCE_KAFKA_SASL_PASSWORD_FILE" in problem.remedy


async def test_a_port_without_logins_is_reported_as_such(secured: Secured) -> None:
    plain = secured.kafka.bootstrap
    login = secured.variables(bootstrap=plain, kafka_security_protocol="SASL_PLAINTEXT")
    del login["kafka_ca_file"]
    problem = present(await connection_problem(CommonSettings(**login).brokers()))
    assert "takes no login by SCRAM-SHA-512" in problem.message


@pytest.mark.parametrize("arguments", [("create",), ("acls", "--apply")])
def test_a_command_does_not_wait_when_the_login_fails(
    secured: Secured, arguments: tuple[str, str] | tuple[str]
) -> None:
    refused = ran(secured, *arguments, login="wrong", status=1)
    assert "refuses the login 'admin'" in refused.output


async def test_the_doctor_examines_a_secured_broker(secured: Secured) -> None:
    found = {each.check: each for each in await examine_kafka(secured.brokers())}
    assert {each.state for each in found.values()} == {"ok"}
    assert found["connection"].message == "TLS, login admin by SCRAM-SHA-512"
    # cdr-ingest examines by its own login, which sees every topic and reads one.
    mine = await examine_kafka(secured.brokers(kafka_sasl_user="cdr-ingest"))
    assert {each.check: each.state for each in mine}["topics"] == "ok"
    others = await examine_kafka(secured.brokers(kafka_sasl_user="notifier"))
    assert {each.check: each.state for each in others}["topics"] == "fail"
    refused = await examine_kafka(secured.brokers(login="wrong"))
    assert refused[0].state == "fail"
    assert "refuses the login" in refused[0].message


async def test_logins_have_the_passwords_of_their_files(secured: Secured, tmp_path: Path) -> None:
    """New passwords, written by the command; then those of these tests again, by changed files."""
    try:
        done = ran(secured, "logins", "--folder", str(tmp_path))
        assert done.output.splitlines() == [f"login {login}" for login in KAFKA_LOGINS]
        assert {access.login for access in accesses()} | {SETUP} == set(KAFKA_LOGINS)
        for login in ("rating", SETUP):
            file = tmp_path / login / "kafka-password"
            assert file.read_text().strip() not in done.output
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256"):
                given = {"kafka_sasl_user": login, "kafka_sasl_mechanism": mechanism}
                assert await connection_problem(secured.brokers(login=file, **given)) is None
                before = present(await connection_problem(secured.brokers(**given)))
                assert f"refuses the login '{login}'" in before.message
    finally:
        for login in KAFKA_LOGINS:
            file = tmp_path / login / "kafka-password"
            file.parent.mkdir(exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_text(PASSWORD)
        ran(secured, "logins", "--folder", str(tmp_path))
    assert await connection_problem(secured.brokers(kafka_sasl_user="rating")) is None


@pytest.mark.parametrize(
    ("login", "password", "says"),
    [("rating", PASSWORD, "the brokers refuse"), (USER, "short", "at least 16 printable")],
)
def test_logins_need_an_administrator_and_a_strong_password(
    secured: Secured, tmp_path: Path, login: str, password: str, says: str
) -> None:
    for name in KAFKA_LOGINS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "kafka-password").write_text(password)
    words = ("logins", "--folder", str(tmp_path))
    refused = ran(secured, *words, status=1, kafka_sasl_user=login)
    assert says in refused.output
    assert password not in refused.output


async def test_topics_are_made_once(secured: Secured) -> None:
    assert await create_topics(secured.brokers(kafka_sasl_user=SETUP)) == []


async def test_every_service_runs_on_a_secured_broker(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str
) -> None:
    """All six as processes; those that read reject a record, and park it over TLS."""
    for name, value in secured.variables().items():
        monkeypatch.setenv(f"RINGFENCE_{name.upper()}", value)
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    key, brokers = uuid.uuid4().hex, secured.brokers()
    parked = {
        topic.dead_letters(reader)
        for topic in (ACCOUNT_CHANGED, SERVICE_RESTORED)
        for reader in topic.readers
    }
    reader = AIOKafkaConsumer(*parked, **client_arguments(brokers), auto_offset_reset="earliest")
    async with (
        Stack(tmp_path / "state", wanted_ports={}),
        open_publisher(brokers, source="test") as publisher,
        reader,
        asyncio.timeout(120),
    ):
        await publisher.publish([event(key, ACCOUNT_CHANGED), event(key, SERVICE_RESTORED)])
        while parked:
            record = await reader.getone()
            if record.key == key.encode():
                parked.discard(record.topic)


async def test_no_embedded_broker_is_taken_for_a_secured_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RINGFENCE_KAFKA_BOOTSTRAP", raising=False)
    monkeypatch.setenv("RINGFENCE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(StackError, match="RINGFENCE_KAFKA_SECURITY_PROTOCOL is SASL_SSL"):
        async with Stack(tmp_path / "state", services=(), wanted_ports={}):
            pass
