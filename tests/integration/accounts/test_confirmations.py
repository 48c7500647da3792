"""Confirmations of the suspender are applied to the profile; one test uses a real broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from httpx import AsyncClient, ConnectError
from pydantic import SecretStr

from accounts.confirmations import TOPICS, Confirmations
from accounts.service import run
from accounts.settings import Settings
from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Health
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_contracts.records import Outcome, Outgoing, Received
from ringfence_contracts.topics import (
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
    Topic,
)
from ringfence_testing.wait import until
from tests.support.accounts import CLIENT, FUSIONPBX, TOKEN, RunningApi, running_api

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
ACCOUNT = "account.changed.v1"


def suspended(
    service_id: str, account_id: str = "anna", ended: tuple[str, ...] = ()
) -> ServiceSuspended:
    return ServiceSuspended(
        account_id=account_id, service_id=service_id, server_id="wat5", mode="auto",
        cause_id=UUID(int=1), zero_mail=True, balance_micro=0, outstanding_micro=0,
        currency="CAD", confirmed_at=NOW, evidence="read back", ended_calls=ended,
    )  # fmt: skip


def restored(service_id: str) -> ServiceRestored:
    return ServiceRestored(
        account_id="anna", service_id=service_id, server_id="wat5", mode="auto",
        cause_id=UUID(int=2), confirmed_at=NOW, evidence="read back",
    )  # fmt: skip


def failed(service_id: str) -> ServiceSuspensionFailed:
    return ServiceSuspensionFailed(
        account_id="anna", service_id=service_id, server_id="wat5", wanted="suspended",
        cause_id=UUID(int=3), reason="no answer", attempts=3, failed_at=NOW,
    )  # fmt: skip


Event = ServiceSuspended | ServiceRestored | ServiceSuspensionFailed
TOPIC_OF: dict[type[Event], Topic] = {
    ServiceSuspended: SERVICE_SUSPENDED,
    ServiceRestored: SERVICE_RESTORED,
    ServiceSuspensionFailed: SERVICE_SUSPENSION_FAILED,
}


def record(event: Event, event_id: UUID | None = None) -> Received:
    headers = (("ce_id", str(event_id or uuid4()).encode()), ("ce_correlationid", b"cdr-1"))
    topic = TOPIC_OF[type(event)].name
    return Received(topic, 0, 0, event.account_id.encode(), event.to_json(), headers)


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        for number in (1, 2):
            body = {**FUSIONPBX, "extensions": f"200{number}"}
            await opened.put(f"clients/anna/products/pbx-{number}", body)
        yield opened


async def take(api: RunningApi, *records: Received) -> Outcome:
    return await Confirmations(api.store).handle(records)


async def profile(api: RunningApi) -> tuple[str, str]:
    """`VoIP Suspended` and its writer, as last published."""
    event = (await api.published(ACCOUNT))[-1]["profile"]
    return event["voip_suspended"], event["voip_suspended_by"]


async def test_suspended_writes_yes_and_restored_writes_none_never_no(api: RunningApi) -> None:
    await take(api, record(suspended("pbx-1")))
    assert await profile(api) == ("Yes", "us")
    await take(api, record(restored("pbx-1")))
    assert await profile(api) == ("None", "us")
    assert len(await api.published(ACCOUNT)) == 5
    correlation = await api.database.fetchval(
        "select correlation_id from accounts.outbox order by id desc limit 1"
    )
    assert correlation == "cdr-1"


async def test_ended_calls_are_kept_until_the_service_is_restored(
    api: RunningApi,
) -> None:
    async def ended() -> list[str]:
        found: list[str] = await api.database.fetchval(
            "select ended_calls from accounts.service_state where service_id = 'pbx-1'"
        )
        return found

    calls = ("2001 -> 14165550100", "2001 -> 15195550100")
    await take(api, record(suspended("pbx-1", ended=calls)))
    assert await ended() == list(calls)
    await take(api, record(suspended("pbx-1")))
    await take(api, record(failed("pbx-1")))
    assert await ended() == list(calls), "an event without ended calls keeps the list"
    await take(api, record(restored("pbx-1")))
    assert await ended() == []


async def test_yes_stays_while_any_service_is_suspended(api: RunningApi) -> None:
    await take(api, record(suspended("pbx-1")), record(suspended("pbx-2")))
    await take(api, record(restored("pbx-1")))
    assert await profile(api) == ("Yes", "us")
    await take(api, record(restored("pbx-2")))
    assert await profile(api) == ("None", "us")


@pytest.mark.parametrize("written", ["Yes", "No"])
async def test_a_value_written_by_a_person_stays(api: RunningApi, written: str) -> None:
    await api.client(voip_suspended=written)
    await take(api, record(suspended("pbx-1")), record(restored("pbx-1")))
    assert await profile(api) == (written, "person")


async def test_a_persons_none_and_an_imported_yes_are_overwritten(
    api: RunningApi,
) -> None:
    await api.client(voip_suspended="Yes")
    await api.client(voip_suspended="None")
    await take(api, record(suspended("pbx-1")))
    assert await profile(api) == ("Yes", "us")
    await api.client(voip_suspended="Yes", written_by="import")
    await take(api, record(restored("pbx-1")))
    assert await profile(api) == ("None", "us")


async def test_a_duplicate_record_changes_nothing_even_after_a_later_one(api: RunningApi) -> None:
    first = record(suspended("pbx-1"))
    await take(api, first)
    await take(api, record(restored("pbx-1")))
    before = len(await api.published(ACCOUNT))
    outcome = await take(api, first)
    assert (outcome.publish, outcome.reject) == ([], [])
    assert len(await api.published(ACCOUNT)) == before
    assert await profile(api) == ("None", "us")


def later(event: Event, seconds: int) -> Event:
    """The event, made so many seconds later."""
    name = "failed_at" if isinstance(event, ServiceSuspensionFailed) else "confirmed_at"
    return event.model_copy(update={name: NOW + timedelta(seconds=seconds)})


FIVE = (
    failed("pbx-1"),
    later(suspended("pbx-1"), 1),
    later(restored("pbx-1"), 2),
    later(failed("pbx-1"), 3),
    later(suspended("pbx-1", ended=("2001 -> 14165550100",)), 4),
)


@pytest.mark.parametrize("last", range(1, len(FIVE) + 1))
async def test_events_in_every_order_leave_the_state_of_the_latest(
    api: RunningApi, last: int
) -> None:
    """A topic has an order, the three topics together have none."""
    state = "select suspended, failure, ended_calls, confirmed_at from accounts.service_state"
    found = set()
    for order in permutations(FIVE[:last]):
        await api.database.execute("delete from accounts.service_state")
        await take(api, *[record(event) for event in order])
        row = await api.database.fetchrow(state)
        found.add(tuple(map(str, row or ())))
    assert len(found) == 1


async def test_off_that_arrives_after_the_later_on_leaves_the_client_on(api: RunningApi) -> None:
    await take(api, record(suspended("pbx-1")), record(later(restored("pbx-1"), 2)))
    await take(api, record(later(suspended("pbx-1"), 1)))
    assert await profile(api) == ("None", "us")


async def test_a_failure_is_shown_with_the_client_until_the_service_is_confirmed(
    api: RunningApi,
) -> None:
    before = len(await api.published(ACCOUNT))
    await take(api, record(failed("pbx-1")))
    shown = (await api.http.get("/v1/clients/anna")).json()["suspension_failures"]
    assert shown == {"pbx-1": "could not suspend after 3 attempts: no answer"}
    assert len(await api.published(ACCOUNT)) == before
    await take(api, record(suspended("pbx-1")))
    assert (await api.http.get("/v1/clients/anna")).json()["suspension_failures"] == {}


async def test_a_failure_leaves_an_imported_yes(api: RunningApi) -> None:
    await api.client(voip_suspended="Yes", written_by="import")
    await take(api, record(failed("pbx-1")))
    assert await profile(api) == ("Yes", "import")


async def test_removing_the_last_suspended_product_clears_the_field(api: RunningApi) -> None:
    await take(api, record(suspended("pbx-1")))
    await api.http.delete("/v1/clients/anna/products/pbx-1")
    assert await profile(api) == ("None", "us")
    outcome = await take(api, record(suspended("pbx-1")))
    assert outcome.reject == []
    assert await profile(api) == ("None", "us")


async def test_a_record_that_cannot_be_applied_is_rejected_and_the_next_applied(
    api: RunningApi,
) -> None:
    stranger = record(suspended("pbx-1", "stranger"))
    garbage = Received(SERVICE_SUSPENDED.name, 0, 0, b"anna", b"{}", stranger.headers)
    nameless = Received(SERVICE_SUSPENDED.name, 0, 0, b"anna", suspended("pbx-1").to_json(), ())
    outcome = await take(api, stranger, garbage, nameless, record(suspended("pbx-2")))
    assert [dead.received for dead in outcome.reject] == [stranger, garbage, nameless]
    assert "stranger" in outcome.reject[0].reason
    assert await profile(api) == ("Yes", "us")


async def test_a_product_held_by_itself_does_not_change_the_client(api: RunningApi) -> None:
    alone = suspended("pbx-1").model_copy(update={"holds": ("manual",), "client_wide": False})
    await take(api, record(alone))
    assert await profile(api) == ("None", "")
    await take(api, record(suspended("pbx-2")))
    assert await profile(api) == ("Yes", "us")
    await take(api, record(restored("pbx-2")))
    assert await profile(api) == ("None", "us")
    await take(api, record(suspended("pbx-1")))
    assert await profile(api) == ("Yes", "us")
    await take(api, record(failed("pbx-1")), record(alone))
    assert await profile(api) == ("None", "us")


async def test_the_running_service_publishes_requests_and_confirmations(
    database: str, kafka_bootstrap: str, free_port: int, tmp_path: Path
) -> None:
    """Over HTTP and Kafka: a client is published; so is its confirmed suspension."""
    account_id = f"whole-{uuid4().hex[:8]}"
    servers = tmp_path / "servers.toml"
    servers.write_text(
        f'[servers.{account_id}]\nkind = "fusionpbx"\nurl = "http://127.0.0.1:1"\n'
        'api_key = { env = "KEY" }\nhost = "pbx.example.ca"\nall_tenants = true\n'
    )
    settings = Settings(
        servers_file=servers,
        kafka_bootstrap=kafka_bootstrap,
        postgres_dsn=SecretStr(database),
        accounts_tokens=SecretStr(f"tester:{TOKEN}"),
        accounts_port=free_port,
    )
    health, stop = Health(), asyncio.Event()
    service = asyncio.create_task(run(settings, health, stop))
    publisher = Publisher(kafka_bootstrap, source="suspender")
    reader = AIOKafkaConsumer(
        ACCOUNT, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await publisher.start()
    await reader.start()
    try:
        async with AsyncClient(
            base_url=f"http://127.0.0.1:{free_port}/v1",
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as http:
            await until(lambda: _answers(http), timeout_s=30)
            await http.put(f"/clients/{account_id}", json=CLIENT)
            body = {**FUSIONPBX, "server_id": account_id}
            await http.put(f"/clients/{account_id}/products/{account_id}", json=body)
        event = suspended(account_id, account_id)
        confirmed = Outgoing(
            SERVICE_SUSPENDED, account_id, event.to_json(), uuid4(), NOW, "suspender"
        )
        await publisher.publish([confirmed])
        events = await asyncio.wait_for(_values(reader, account_id, 3), 240)
    finally:
        stop.set()
        await service
        await publisher.stop()
        await reader.stop()
    assert [b'"voip_suspended":"Yes"' in value for value in events] == [False, False, True]
    assert [topic.name for topic in TOPICS] == [
        "service.suspended.v1",
        "service.restored.v1",
        "service.suspension-failed.v1",
    ]


async def _answers(http: AsyncClient) -> bool:
    try:
        return (await http.get("/clients")).status_code == 200
    except ConnectError:
        return False


async def _values(reader: AIOKafkaConsumer, key: str, count: int) -> Sequence[bytes]:
    found: list[bytes] = []
    async for message in reader:
        if message.key == key.encode():
            found.append(message.value)
            if len(found) == count:
                break
    return found
