"""Les.net's files are fetched over a real socket, and each call is published once."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
import pytest

from cdr_ingest.ingest import Ingester
from cdr_ingest.lesnet.metrics import FILE_REFUSED, NEWEST_ROW_AGE
from cdr_ingest.polling.guarded import SourceReadError
from ringfence_contracts.errors import BadInput
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.faults import Fault
from ringfence_simulators.lesnet.app import LesnetSimulator
from ringfence_testing.clock import FixedClock
from tests.support.lesnet import (
    DID,
    PATH,
    PEER,
    call,
    calls_of,
    dead_letters,
    polling,
    rows_of,
    simulated,
)

Open = Callable[..., AbstractAsyncContextManager[list[Any]]]


@pytest.fixture
def server_id() -> str:
    return f"les-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def les(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LesnetSimulator]:
    async with simulated(monkeypatch) as simulator:
        simulator.portal.call(PATH, [call(), call(5, seconds=0), call(7, caller="1", callee=DID)])
        simulator.portal.write_files()
        yield simulator


@pytest.fixture
def opened(les: LesnetSimulator, database: str, kafka_bootstrap: str, server_id: str) -> Open:
    """Opens the loop of a single link."""
    return lambda **settings: polling(les, database, kafka_bootstrap, server_id, **settings)


def last_asked(les: LesnetSimulator) -> int:
    return les.site.asked[-1][1]


async def test_each_call_of_a_file_is_published_once(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str
) -> None:
    async with opened() as (link,):
        assert await link.poll() == ""
    calls, ids = await calls_of(kafka_bootstrap, server_id)
    assert [c["direction"] for c in calls] == ["outbound", "outbound", "inbound"]
    assert {c["tenant"] for c in calls} == {PEER}
    assert calls[0]["started_at"] == "2026-11-21T12:00:00Z"
    assert [c["billsec"] for c in calls] == [61, 0, 61]
    assert len(ids) == 3


async def test_an_unchanged_file_is_not_downloaded_again(
    les: LesnetSimulator, opened: Open
) -> None:
    async with opened() as (link,):
        await link.poll()
        await link.poll()
    async with opened() as (restarted,):
        await restarted.poll()
    assert [status for _, status in les.site.asked] == [200, 304, 304]


async def test_without_validators_an_unchanged_file_is_recognised_by_its_content(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str
) -> None:
    les.portal.files[PATH].validators = False
    for _ in range(2):
        async with opened() as (link,):
            await link.poll()
    _, ids = await calls_of(kafka_bootstrap, server_id)
    assert set(ids.values()) == {1}
    assert last_asked(les) == 200


@pytest.mark.parametrize("rotate", [False, True], ids=["cumulative", "rotated"])
async def test_the_next_days_file_adds_only_its_new_calls(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str, rotate: bool
) -> None:
    """Three equal rows of a file are three calls, and no more the next day."""
    les.portal.call(PATH, [call(30), call(30), call(30)])
    les.portal.write_files()
    async with opened() as (link,):
        await link.poll()
        assert len((await calls_of(kafka_bootstrap, server_id))[1]) == 6
        # A rotated file may also contain the last rows of the previous day.
        les.portal.call(PATH, [*([call(30)] * 3 if rotate else []), call(1500)])
        les.portal.write_files(rotate=rotate)
        await link.poll()
    async with opened() as (restarted,):
        les.portal.call(PATH, [call(1600)])
        les.portal.write_files(rotate=rotate)
        await restarted.poll()
    _, ids = await calls_of(kafka_bootstrap, server_id)
    assert (len(ids), set(ids.values())) == (8, {1})


async def test_after_a_kill_the_file_is_read_again_without_duplicates(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str, database: str
) -> None:
    """The version is saved last: without it, the file is read again, and all calls are known."""
    async with opened() as (link,):
        await link.poll()
    connection_lost = "delete from cdr_ingest.lesnet_file returning link"
    assert len(await rows_of(database, connection_lost)) == 1
    async with opened() as (link,):
        await link.poll()
    _, ids = await calls_of(kafka_bootstrap, server_id)
    assert (len(ids), set(ids.values())) == (3, {1})


class LosesBroker(Ingester):
    """Ingests one batch, then the broker is gone."""

    taken = 0

    async def ingest(self, records: Sequence[Any]) -> int:
        if self.taken:
            raise ConnectionError("the broker is gone")
        self.taken = await super().ingest(records)
        return self.taken


async def test_the_version_is_saved_only_once_all_calls_are_safe(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str, database: str
) -> None:
    async with opened(ingester=LosesBroker) as (link,):
        assert await link.run_once() < 60, "retried soon: the source did not fail"
    assert await rows_of(database, "select * from cdr_ingest.lesnet_file") == []
    assert await published_events(database) == []
    async with opened() as (link,):
        assert await link.poll() == ""
    assert last_asked(les) == 200
    _, ids = await calls_of(kafka_bootstrap, server_id)
    assert (len(ids), set(ids.values())) == (3, {1})


async def test_a_few_lines_that_do_not_fit_are_dead_letters_with_their_reasons(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str, database: str
) -> None:
    les.portal.call(PATH, [call(n) for n in range(60, 100)])
    les.portal.write_files()
    body = les.portal.files[PATH].body
    les.portal.put(PATH, body + b"2026-11-21 13:00:00,1,2,0:61\n")
    async with opened() as (link,):
        assert await link.poll() == ""
        les.portal.put(PATH, body + b"2026-11-21 13:00:00,1,2,0:61\n\n")
        assert await link.poll() == ""
    assert len((await calls_of(kafka_bootstrap, server_id))[1]) == 43
    ((raw, reason),) = await dead_letters(kafka_bootstrap, server_id)
    assert raw == b"2026-11-21 13:00:00,1,2,0:61"
    assert "duration: got '0:61'" in reason
    (row,) = await rows_of(database, "select * from cdr_ingest.record where disposition = 'dead'")
    assert row["tenant"] == PEER


CHANGED = (
    b"Date;From;To;Seconds\n21/11/2026;12046664021;14165550100;61\n",
    b"Date,Source,Destination,Duration\n" + b"21/11/2026,12046664021,14165550100,61\n" * 3,
    b"Date,Source,Destination,Duration\n"
    + b"2026-11-21 06:09:00,12046664021,14165550100,61\n" * 9
    + b"2026-11-21 06:09:00,12046664021,14165550100\n",
)


@pytest.mark.parametrize("body", CHANGED, ids=["header", "dates", "one line in ten"])
async def test_a_file_whose_format_changed_is_refused_whole_and_published(
    les: LesnetSimulator,
    opened: Open,
    kafka_bootstrap: str,
    server_id: str,
    database: str,
    body: bytes,
) -> None:
    les.portal.put(PATH, body)
    async with opened() as (link,):
        assert "the format changed" in await link.poll()
        assert FILE_REFUSED.labels(server_id, link.feed)._value.get() == 1
        assert "the format changed" in await link.poll(), "still refused, and not downloaded again"
        assert last_asked(les) == 304
        assert (await calls_of(kafka_bootstrap, server_id))[0] == []
        ((raw, reason),) = await dead_letters(kafka_bootstrap, server_id)
        assert reason.startswith("file refused whole: the format changed")
        report = orjson.loads(raw)
        assert (report["server_id"], report["bytes"]) == (server_id, len(body))
        les.portal.write_files()
        assert await link.poll() == "", "a changed file is processed again"
        assert FILE_REFUSED.labels(server_id, link.feed)._value.get() == 0
    assert len((await calls_of(kafka_bootstrap, server_id))[1]) == 3


async def test_a_corrected_profile_reads_a_refused_file_again(
    les: LesnetSimulator, opened: Open, kafka_bootstrap: str, server_id: str
) -> None:
    les.portal.put(PATH, CHANGED[1])
    async with opened() as (link,):
        assert await link.poll()
    corrected: dict[str, Any] = {
        "delimiter": ",",
        "zone": "UTC",
        "dates": ["%d/%m/%Y"],
        "duration_unit": "seconds",
        "direction": {"rule": "outbound"},
        "columns": {"start": 1, "caller": 2, "callee": 3, "duration": 4},
    }
    with pytest.raises(BadInput, match="lacks"):
        await _open(opened, corrected)
    corrected["dates"] = ["%d/%m/%Y %H:%M"]
    corrected["columns"]["start"] = 1
    les.portal.put(PATH, CHANGED[1].replace(b"/2026,", b"/2026 06:09,"))
    async with opened() as (link,):
        assert await link.poll()
    async with opened(profile=corrected) as (link,):
        assert await link.poll() == "", "the file is the same, the profile is not"
    assert len((await calls_of(kafka_bootstrap, server_id))[1]) == 3


async def _open(opened: Open, profile: dict[str, Any]) -> None:
    try:
        async with opened(profile=profile):
            pass
    except ValueError as error:
        raise BadInput("profile", "it", str(error)) from error


UNREAD = [
    (Fault("status", value="500"), "status 500", False),
    (Fault("status", value="404"), "status 404", True),
    (Fault("status", value="403"), "protected", True),
    (Fault("slow", value="30"), "no answer", False),
    (Fault("drop"), "disconnected|RemoteProtocolError|ReadError", False),
    (Fault("cut"), "peer closed connection|incomplete", False),
    (Fault("cut-quiet"), "cut off", False),
    (Fault("html", value="<html>Log in"), "a web page", True),
    (Fault("redirect", value="https://evil.example/x"), "redirects to 'evil.example'", True),
    (Fault("redirect", value=PATH), "redirects", True),
]


@pytest.mark.parametrize(("fault", "message", "no"), UNREAD, ids=lambda f: getattr(f, "kind", ""))
async def test_an_incomplete_file_is_not_ingested_and_is_fetched_again(
    les: LesnetSimulator,
    opened: Open,
    kafka_bootstrap: str,
    server_id: str,
    database: str,
    fault: Fault,
    message: str,
    no: bool,
) -> None:
    les.portal.call(PATH, [call(90)])
    les.portal.write_files()
    les.faults.planned.append(Fault(fault.kind, fault.path, fault.value))
    async with opened(timeout_s=0.5) as (link,):
        with pytest.raises(SourceReadError, match=message) as caught:
            await link.poll()
        assert caught.value.refused is no
        assert await rows_of(database, "select * from cdr_ingest.record") == []
        assert await link.poll() == ""
    _, ids = await calls_of(kafka_bootstrap, server_id)
    assert (len(ids), set(ids.values())) == (4, {1})


async def test_a_web_page_with_status_200_and_type_text_is_not_a_file(
    les: LesnetSimulator, opened: Open, server_id: str
) -> None:
    les.portal.put(PATH, b"<!DOCTYPE html><title>Log in</title>\n")
    async with opened() as (link,):
        with pytest.raises(SourceReadError, match="a web page came"):
            await link.poll()


async def test_a_body_without_length_is_fetched_again(les: LesnetSimulator, opened: Open) -> None:
    """It may have been cut at the end of a line, so the next poll fetches it completely."""
    les.portal.files[PATH].framed = False
    async with opened() as (link,):
        assert await link.poll() == ""
        assert await link.poll() == ""
    assert [status for _, status in les.site.asked] == [200, 200]


@pytest.mark.parametrize("framed", [True, False])
async def test_a_file_above_the_limit_is_refused(
    les: LesnetSimulator, opened: Open, framed: bool
) -> None:
    les.portal.put(PATH, b"x" * 3000)
    les.portal.files[PATH].framed = framed
    async with opened(max_bytes=2000) as (link,):
        with pytest.raises(SourceReadError, match="larger than 2000 bytes") as caught:
            await link.poll()
    assert caught.value.refused


async def test_a_refused_connection_is_retried(
    les: LesnetSimulator, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}/cdr/x.txt?token=s3cret"
    async with opened(link={"url": url}) as (link,):
        with pytest.raises(SourceReadError, match="ConnectError") as caught:
            await link.poll()
    assert not caught.value.refused
    assert "s3cret" not in str(caught.value)


async def test_user_and_password_are_sent_for_a_protected_file(
    les: LesnetSimulator, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    les.portal.files[PATH].login = "u:wörd"
    monkeypatch.setenv("TEST_LESNET_WORD", "wörd")
    async with opened() as (link,):
        with pytest.raises(SourceReadError, match="protected; see user and password"):
            await link.poll()
    async with opened(link={"user": "u", "password": {"env": "TEST_LESNET_WORD"}}) as (link,):
        assert await link.poll() == ""


async def test_an_outage_and_its_end_are_published_once(
    les: LesnetSimulator, opened: Open, database: str
) -> None:
    """A refusal at once; a failing server after three attempts in a row."""
    les.faults.planned.append(Fault("status", value="500", times=4))
    async with opened() as (link,):
        waits = [await link.run_once() for _ in range(4)]
        assert waits == sorted(waits)
        assert 0 < waits[0] < waits[3] <= 900
        assert await published_events(database) == ["source.failed.v1"]
        assert await link.run_once() == 900
        assert await published_events(database) == ["source.failed.v1", "source.recovered.v1"]
        les.portal.put(PATH, CHANGED[0])
        await link.run_once()
        await link.run_once()
        assert len(await published_events(database)) == 3, (
            "a refused file is published as an outage, once"
        )
        les.portal.write_files()
        await link.run_once()
        assert (await published_events(database))[-1] == "source.recovered.v1"


async def published_events(database: str) -> list[str]:
    rows = await rows_of(database, "select topic from cdr_ingest.outbox order by id")
    return [row["topic"] for row in rows]


async def test_a_server_that_asks_for_a_pause_gets_it(les: LesnetSimulator, opened: Open) -> None:
    les.faults.planned.append(Fault("status", value="429 120"))
    async with opened() as (link,):
        assert await link.run_once() == 120


async def test_the_age_of_the_newest_row_grows_without_new_calls(
    les: LesnetSimulator, opened: Open, server_id: str
) -> None:
    """The age shows for how long calls are not billed yet."""
    clock = FixedClock()
    async with opened(clock=clock) as (link,):
        await link.poll()
        gauge = NEWEST_ROW_AGE.labels(server_id, link.feed)
        before = gauge._value.get()
        clock.move(hours=24)
        await link.poll()
        assert last_asked(les) == 304
        assert gauge._value.get() - before == 24 * 3600
    async with opened(clock=clock) as (restarted,):
        gauge.set(0)
        await restarted.poll()
        assert gauge._value.get() - before == 24 * 3600


async def test_links_without_the_values_that_the_profile_needs_stop_the_start(opened: Open) -> None:
    lacks: list[dict[str, Any]] = [{"peer": ""}, {"dids": []}]
    for lacking in lacks:
        with pytest.raises(BadInput, match=r"no peer|no dids"):
            async with opened(link=lacking):
                pass
