"""FreeSWITCH posts to the receiver: answers, published calls and dead letters."""

import asyncio
import base64
import gzip
import io
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import aiohttp
import httpx
import pytest

from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.listener import Receiver, ReceiverLimits
from cdr_ingest.sources.source import ALL_TENANTS
from cdr_ingest.store import IngestStore
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.call import CallCompleted
from ringfence_simulators.freeswitch.channel import EndedChannel, b_leg, channel_of
from ringfence_simulators.freeswitch.document import json_document, xml_document
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings, report_at_rate
from ringfence_testing.wait import until
from tests.support.cdr_ingest import reading_of
from tests.support.fusionpbx import MCON, NOON, server_of, simulated
from tests.support.fusionpbx import outbound as placed
from tests.support.narrow import expect
from tests.support.push import (
    CRED,
    PASSWORD,
    TENANT,
    USER,
    Ingest,
    Receiving,
    Records,
    http,
    outbound,
    post,
    pushing,
    receiving,
)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PUSH_PASSWORD", PASSWORD)


@pytest.fixture
async def receiver(kafka_bootstrap: str, database: str) -> AsyncIterator[Receiving]:
    async with receiving(kafka_bootstrap, database) as found:
        yield found


def module_at(
    receiver: Receiving, form: Literal["json", "xml"] = "json", **settings: Any
) -> CdrModule:
    settings = {"cred": CRED, **settings}
    return CdrModule(ModuleSettings(form=form, urls=(receiver.at(form),), **settings))


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("json", {"encode": "false"}),
        ("json", {"encode": "false", "encode_values": False, "auth_scheme": "digest"}),
        ("json", {"encode": "true"}),
        ("json", {"encode": "base64", "disable_100_continue": True}),
        ("xml", {"encode": "false"}),
        ("xml", {"encode": "true", "auth_scheme": "digest"}),
        ("xml", {"encode": "base64"}),
        ("xml", {"encode": "textxml", "disable_100_continue": True}),
    ],
)
async def test_an_answered_record_is_on_the_topic(
    receiver: Receiving, form: Literal["json", "xml"], settings: dict[str, str]
) -> None:
    found = outbound(caller_id_name='Sales "West"')
    async with module_at(receiver, form, **settings) as module:
        assert await module.report(found)
        assert await module.report(b_leg(found))
    (call,) = await receiver.published()
    assert (call.source_call_id, call.tenant, call.billsec) == (found.uuid, TENANT, 60)
    assert call.caller_name == 'Sales "West"'
    assert await receiver.parked() == []


async def test_a_call_that_is_polled_and_posted_is_published_once(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> None:
    async with simulated(monkeypatch) as pbx, receiving(kafka_bootstrap, database) as receiver:
        row = pbx.pbx.place(placed(start_epoch=int(NOON) - 600))
        source = FusionPbxSource(receiver.server_id, server_of(pbx.url))
        pulled = [reading_of(r) async for r in source.records(ALL_TENANTS, 1, int(NOON))]
        await source.aclose()
        async with module_at(receiver, "xml") as module:
            assert await module.report(channel_of(row))
            assert await module.report(channel_of(row))
        (pushed,) = await receiver.published()
        assert pushed.tenant == MCON
        differ = {"source", "hangup_cause"}
        assert pushed.model_dump(exclude=differ) == expect(CallCompleted, pulled[0]).model_dump(
            exclude=differ
        )


def with_variables(channel: EndedChannel, **variables: str) -> EndedChannel:
    """The channel with other variables."""
    return replace(channel, variables={**channel.variables, **variables})


async def test_an_altered_repetition_of_a_post_is_one_dead_letter_that_names_what_differs(
    kafka_bootstrap: str, database: str
) -> None:
    """The first post counts, also after a restart, and the true one may be repeated in silence."""
    true = outbound(billsec=600)
    altered = with_variables(true, billsec="6")
    async with receiving(kafka_bootstrap, database) as receiver:
        async with module_at(receiver) as module:
            for each in (true, true, altered, altered, true):
                assert await module.report(each)
        letters = await receiver.parked()
    assert [call.billsec for call in await receiver.published()] == [600]
    ((body, reason),) = letters
    assert reason == (
        f"call {true.uuid} was posted before with other values: billsec got 6, expected 600"
    )
    assert CallCompleted.model_validate_json(body).billsec == 6

    async with (
        await open_pool(database, service="cdr-ingest") as pool,
        open_publisher(kafka_bootstrap, source="cdr-ingest") as publisher,
    ):
        restarted = Ingester(store=IngestStore(pool), publisher=publisher)
        call = CallCompleted.model_validate_json(body)
        again, other = call.model_copy(update={"billsec": 600}), {"destination_number": "911"}
        assert await restarted.ingest([again, call]) == 0
        assert await restarted.ingest([again, call.model_copy(update=other)]) == 1
    assert [call.billsec for call in await receiver.published()] == [600]
    assert len(await receiver.parked()) == 2


async def test_a_call_whose_id_was_posted_as_a_leg_before_is_a_dead_letter(
    receiver: Receiving,
) -> None:
    """A post without the mark of an a leg would otherwise make the true call free in silence."""
    true = outbound()
    async with module_at(receiver) as module:
        leg = with_variables(true, billsec="0", originating_leg_uuid=str(uuid4()))
        assert await module.report(replace(leg, originator=true.profile))
        assert await module.report(true)
    assert await receiver.published() == []
    ((_, reason),) = await receiver.parked()
    assert "it was a leg of another call then, and is charged to nobody" in reason


async def test_an_unreadable_body_is_a_dead_letter_and_the_next_post_succeeds(
    receiver: Receiving,
) -> None:
    found = outbound()
    bad = json_document(found).replace('"billsec":"60"', '"billsec":"-60"')
    async with http() as session:
        status, _, answer = await post(session, receiver.at("json"), bad)
        assert status == 400
        assert answer["error"]["field"] == "billsec"
        assert answer["error"]["value"] == "'-60'"
        assert answer["error"]["expected"].startswith("whole seconds")
        for body in (b"\xff\xfe", b"<!DOCTYPE cdr><cdr/>", b"x" * 90_000):
            status, _, answer = await post(session, receiver.at("xml"), body, "text/xml")
            assert (status, answer["error"]["field"]) == (400, "body")
        status, _, _ = await post(session, receiver.at("json"), json_document(found))
        assert status == 200
    assert [call.billsec for call in await receiver.published()] == [60]
    parked = dict(await receiver.parked())
    assert parked[bad.encode()].startswith("posted: billsec: got '-60', expected whole seconds")
    assert {b"\xff\xfe", b"<!DOCTYPE cdr><cdr/>", b"x" * 90_000} < parked.keys()


async def test_the_dead_letter_of_a_large_body_has_its_beginning(
    kafka_bootstrap: str, database: str
) -> None:
    async with receiving(kafka_bootstrap, database, body_bytes=2_000_000) as receiver:
        async with http() as session:
            status, _, _ = await post(session, receiver.at("json"), io.BytesIO(b"{" * 1_500_000))
        assert status == 400
        ((raw, reason),) = await receiver.parked()
    assert raw == b"{" * 262_144
    assert reason.endswith("(the first 262144 of 1500000 bytes)")


async def test_a_body_above_the_limit_is_refused(receiver: Receiving) -> None:
    async with http() as session:
        status, _, answer = await post(session, receiver.at("json"), b"{" * 100_001)
    assert (status, answer["error"]["field"]) == (413, "body")
    assert await receiver.parked() == []


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic",
        "Basic ???",
        "Bearer x",
        "Digest",
        aiohttp.encode_basic_auth(USER, "wrong"),
        aiohttp.encode_basic_auth("wrong", PASSWORD),
        aiohttp.encode_basic_auth("", ""),
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        f'Digest username="{USER}", realm="x", nonce="é", uri="/", qop=auth, response="", nc=1',
    ],
)
async def test_a_post_with_wrong_credentials_is_challenged_and_not_saved(
    receiver: Receiving, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        body = json_document(outbound())
        status, answered, answer = await post(session, receiver.at("json"), body)
    assert status == 401
    schemes = [value.partition(" ")[0] for value in answered.getall("WWW-Authenticate")]
    assert schemes == ["Digest", "Digest", "Basic"]
    assert PASSWORD not in json.dumps(answer)
    assert await receiver.published() == []


async def test_digest_works_with_another_client_and_refuses_a_replayed_request(
    receiver: Receiving,
) -> None:
    """A captured request is refused: each count of a nonce is valid once."""
    auth = httpx.DigestAuth(USER, PASSWORD)
    async with httpx.AsyncClient() as client:
        first = await client.post(
            receiver.at("json"),
            content=json_document(outbound()),
            headers={"Content-Type": "application/json"},
            auth=auth,
            params={"uuid": ""},
        )
        assert first.status_code == 200
        again = await client.post(
            str(first.request.url),
            content=b"{}",
            headers=dict(first.request.headers.multi_items()) | {"content-length": "2"},
        )
    assert again.status_code == 401
    assert "stale=true" in again.headers["www-authenticate"]
    assert len(await receiver.published()) == 1


@pytest.mark.parametrize("path", ["/cdr/nobody/json", "/cdr/{}/vodia", "/cdr/{}", "/"])
async def test_an_unknown_path_is_not_found(receiver: Receiving, path: str) -> None:
    async with (
        http() as session,
        session.post(receiver.url + path.format(receiver.server_id), data=b"{}") as response,
    ):
        assert response.status == 404


async def test_posts_get_503_while_the_broker_fails_and_succeed_afterwards(
    kafka_bootstrap: str, database: str
) -> None:
    broker_fails = asyncio.Event()
    broker_fails.set()

    async def ingest(ingester: Ingest, records: Records) -> None:
        if broker_fails.is_set():
            raise Retry("the broker did not take a record")
        await ingester(records)

    async with receiving(kafka_bootstrap, database, ingest=ingest) as receiver, http() as session:
        found = outbound()
        for _ in range(3):
            status, headers, _ = await post(session, receiver.at("json"), json_document(found))
            assert (status, headers["Retry-After"]) == (503, "2")
        assert len(receiver.taken) == 1, "after a failure, posts are refused at once for a while"
        broker_fails.clear()

        async def taken() -> bool:
            return (await post(session, receiver.at("json"), json_document(found)))[0] == 200

        await until(taken)
        assert [call.source_call_id for call in await receiver.published()] == [found.uuid]


async def test_a_post_that_is_not_safe_in_time_gets_503(
    kafka_bootstrap: str, database: str
) -> None:
    async def ingest(ingester: Ingest, records: Records) -> None:
        await asyncio.Event().wait()

    async with (
        receiving(kafka_bootstrap, database, ingest=ingest, answer_s=0.2) as receiver,
        http() as session,
    ):
        status, _, answer = await post(session, receiver.at("json"), json_document(outbound()))
    assert (status, answer["error"]["reason"]) == (503, "not safe within 0.2 s")


async def test_posts_above_the_limit_are_refused_and_the_others_wait(
    kafka_bootstrap: str, database: str
) -> None:
    go_on = asyncio.Event()

    async def ingest(ingester: Ingest, records: Records) -> None:
        await go_on.wait()
        await ingester(records)

    async with (
        receiving(kafka_bootstrap, database, ingest=ingest, posts=20) as receiver,
        module_at(receiver) as module,
    ):
        reports = [asyncio.create_task(module.report(outbound())) for _ in range(60)]
        await until(lambda: module.answers.get(503, 0) >= 40)
        go_on.set()
        taken = [await report for report in reports]
        assert taken.count(True) == 20
        assert len(await receiver.published()) == 20


async def test_posts_without_a_body_count_and_then_time_out(
    kafka_bootstrap: str, database: str
) -> None:
    async with receiving(kafka_bootstrap, database, posts=3, answer_s=1.0) as receiver:
        host, port = receiver.url.removeprefix("http://").split(":")
        head = (
            f"POST /cdr/{receiver.server_id}/json HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            f"Authorization: {aiohttp.encode_basic_auth(USER, PASSWORD)}\r\n\r\n"
        )
        slow = [await asyncio.open_connection(host, port) for _ in range(3)]
        for _, writer in slow:
            writer.write(head.encode())
        async with http() as session:

            async def refused() -> bool:
                return (await post(session, receiver.at("json"), b"{}"))[0] == 503

            await until(refused)
            for reader, writer in slow:
                assert b" 408 " in await reader.readline()
                writer.close()
            status, _, _ = await post(session, receiver.at("json"), json_document(outbound()))
            assert status == 200


async def test_a_bug_ends_the_receiver_and_no_post_is_answered_with_200(
    kafka_bootstrap: str, database: str
) -> None:
    async def ingest(ingester: Ingest, records: Records) -> None:
        raise ZeroDivisionError("a bug")

    posts = []

    async def serve(session: aiohttp.ClientSession) -> None:
        async with receiving(kafka_bootstrap, database, ingest=ingest) as receiver:
            body = json_document(outbound())
            posts.append(asyncio.create_task(post(session, receiver.at("json"), body)))
            await asyncio.Event().wait()

    async with http() as session:
        with pytest.raises(ExceptionGroup) as ended:
            await serve(session)
        assert ended.group_contains(ZeroDivisionError)
        status, _, _ = await posts[0]
    assert status == 503


async def test_a_burst_is_ingested_in_few_batches_and_every_answered_record_is_safe(
    receiver: Receiving,
) -> None:
    channels = [outbound() for _ in range(400)]
    settings = ModuleSettings(form="json", urls=(receiver.at("json"),), cred=CRED)
    async with CdrModule(settings, keep_alive=True) as module:
        taken = await report_at_rate(module, channels, 2000)
    answered = {c.uuid for c, was_taken in zip(channels, taken, strict=True) if was_taken}
    assert answered <= {call.source_call_id for call in await receiver.published()}
    assert len(answered) >= 300
    assert len(receiver.taken) < len(answered) / 2
    assert expect(dict, receiver.health.report()["loops"])["posts"]["read"] == sum(receiver.taken)


async def test_posts_in_progress_are_answered_on_shutdown(
    kafka_bootstrap: str, database: str
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def ingest(ingester: Ingest, records: Records) -> None:
        arrived.set()
        await go_on.wait()
        await ingester(records)

    async with http() as session:
        async with receiving(kafka_bootstrap, database, ingest=ingest) as receiver:
            body = json_document(outbound())
            posted = asyncio.create_task(post(session, receiver.at("json"), body))
            await arrived.wait()
            asyncio.get_running_loop().call_later(0.2, go_on.set)
        status, _, _ = await posted
    assert status == 200


async def test_the_module_tries_the_next_url_and_then_saves_the_record_to_its_folder(
    receiver: Receiving, tmp_path: Path, free_port: int
) -> None:
    nobody = f"http://127.0.0.1:{free_port}/cdr/{receiver.server_id}/xml"
    settings: dict[str, Any] = {
        "form": "xml",
        "cred": CRED,
        "delay": 0.01,
        "err_log_dir": tmp_path / "err",
    }
    first, second = outbound(), outbound()
    async with CdrModule(
        ModuleSettings(urls=(nobody, receiver.at("xml")), retries=1, **settings)
    ) as module:
        assert await module.report(first)
        assert await module.report(second)
        assert module.answers == {0: 1, 200: 2}, "the URL that failed is not used again"
    assert not (tmp_path / "err").exists()
    async with CdrModule(ModuleSettings(urls=(nobody,), retries=2, **settings)) as module:
        assert not await module.report(first)
        assert module.answers == {0: 3}
    written = (tmp_path / "err" / f"a_{first.uuid}.cdr.xml").read_text()
    assert written == f"cdr={xml_document(first)}"


async def test_logs_and_metrics_show_the_results_and_no_secret(
    receiver: Receiving, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    marker = "SECRETMARKER"
    async with http() as session, http(cred=False) as stranger:
        await post(session, receiver.at("json"), f'{{"variables":"{marker}"')
        await post(stranger, receiver.at("json"), marker)
        await post(session, receiver.at("json"), json_document(outbound()))
        body = "x" * 200_000
        await post(session, receiver.at("json"), body)
    output = caplog.text + "".join(capsys.readouterr())
    assert "post refused" in output
    for secret in (marker, PASSWORD, base64.b64encode(CRED.encode()).decode()):
        assert secret not in output
    from prometheus_client import REGISTRY

    def count(result: str) -> float | None:
        labels = {"server": receiver.server_id, "result": result}
        return REGISTRY.get_sample_value("ringfence_ingest_posts_total", labels)

    results = ("accepted", "unreadable", "unauthorised", "too-large")
    assert [count(result) for result in results] == [1, 1, 1, 1]
    labels = {"server": receiver.server_id}
    assert REGISTRY.get_sample_value("ringfence_ingest_post_seconds_count", labels) == 4


def receiver_on(host: str, push: dict[str, bool] | None) -> Receiver:
    async def ingest(records: Records) -> None:
        raise AssertionError(records)

    collector = Collector(
        ingest=ingest, progress=Health().loop("posts"), batch_records=1, capacity=1
    )
    limits = ReceiverLimits(body_bytes=1024, posts=1, answer_s=1)
    servers = {"pbx-1": pushing(push)}
    return Receiver(servers=servers, collector=collector, host=host, port=0, limits=limits)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "pbx.example", ""])
def test_a_server_without_a_password_is_refused_beyond_loopback(host: str) -> None:
    with pytest.raises(BadInput, match=r"servers\.pbx-1\.push\.open"):
        receiver_on(host, {"open": True})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_on_loopback_a_server_may_be_open(host: str) -> None:
    async with receiver_on(host, {"open": True}).serving() as url:
        assert url.startswith("http://")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://page.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "page.example"}, 403),
        ({"Host": "page.example:8070"}, 403),
        ({"Host": "127.0.0.1.page.example"}, 403),
        ({"Host": "192.0.2.1"}, 403),
        ({"Host": "["}, 403),
        ({"Host": "localhost:8070"}, 415),
        ({"Host": "[::1]:8070"}, 415),
        ({}, 415),
    ],
)
async def test_an_open_server_takes_no_post_of_a_web_page(
    headers: dict[str, str], status: int
) -> None:
    """What is not refused for its sender is refused for its compressed body."""
    async with (
        receiver_on("127.0.0.1", {"open": True}).serving() as url,
        aiohttp.ClientSession() as http,
    ):
        sent = {"Content-Encoding": "gzip", **headers}
        async with http.post(f"{url}/cdr/pbx-1/json", data=b"{}", headers=sent) as answer:
            assert answer.status == status, await answer.text()
            if status == 403:
                assert (await answer.json())["error"]["field"] == next(iter(headers))


def test_a_missing_password_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_PUSH_PASSWORD")
    with pytest.raises(BadInput, match="TEST_PUSH_PASSWORD"):
        receiver_on("127.0.0.1", None)


@pytest.mark.parametrize(
    "push",
    [{}, {"user": "x"}, {"password": {"env": "X"}}, {"open": True, "user": "x"}],
)
def test_an_entry_with_neither_or_both_of_password_and_open_is_refused(
    push: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"name (either|user)"):
        pushing({**push, "open": push.get("open", False)})


@pytest.mark.parametrize("auth", [CRED, "switch:wrong"])
async def test_a_compressed_body_is_refused_unread_and_the_connection_closed(
    receiver: Receiving, auth: str
) -> None:
    """8 MB of zeros in 8 KB: nothing is unpacked, for any sender."""
    bomb = gzip.compress(bytes(8_000_000))
    headers = {
        "Content-Encoding": "gzip",
        "Content-Type": "application/json",
        "Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}",
    }
    async with aiohttp.ClientSession() as session:
        answer = await session.post(receiver.at("json"), data=bomb, headers=headers)
        assert answer.status == (415 if auth == CRED else 401)
        assert answer.headers["Connection"] == "close"
    assert await receiver.parked() == []


async def test_a_sender_is_authenticated_before_it_is_asked_for_its_body(
    receiver: Receiving,
) -> None:
    host, port = receiver.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = receiver.at("json").removeprefix(receiver.url)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 90000\r\n\r\n".encode()
    )
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    assert line.startswith(b"HTTP/1.1 401")
