"""An examination ends in time, says what it is at, and is ended by no server."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from ringfence.clock import SystemClock
from ringfence_doctor import servers as doctor_servers
from ringfence_doctor.check_result import CheckResult
from ringfence_doctor.progress import ExaminationProgress
from ringfence_doctor.servers import ExaminationContext, ExaminationLimits, examine_servers
from ringfence_pbx.servers import AnyServer
from tests.support.fusionpbx import SUPER_KEY, server_of


@pytest.fixture
async def silent(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AnyServer]:
    """A server that accepts connections and never answers."""
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    stop = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    yield server_of(f"http://127.0.0.1:{port}")
    stop.set()
    listener.close()


async def examined(
    servers: dict[str, AnyServer], limits: ExaminationLimits
) -> tuple[list[CheckResult], list[tuple[str, int, int]]]:
    shown: list[tuple[str, int, int]] = []
    progress = ExaminationProgress(len(servers), lambda *step: shown.append(step))
    context = ExaminationContext(SystemClock())
    return await examine_servers(servers, context, limits, progress), shown


async def test_silent_servers_are_given_up_and_those_behind_them_are_named(
    silent: AnyServer,
) -> None:
    limits = ExaminationLimits(server_s=0.4, servers_s=0.6, at_once=1)
    began = time.monotonic()
    found, shown = await examined({"pbx1": silent, "pbx2": silent, "pbx3": silent}, limits)
    assert time.monotonic() - began < 10
    assert [(f.subject, f.check, f.state) for f in found] == [
        ("pbx1", "patience", "fail"),
        ("pbx2", "patience", "fail"),
        ("pbx3", "patience", "fail"),
    ]
    assert "within 0.4 s" in found[0].message
    assert found[2].message == "not examined: the servers before it took 0.6 s"
    assert found[2].action == "`ringfence doctor --server pbx3` examines it alone"
    assert shown[:3] == [("examining pbx1", 0, 3), ("", 1, 3), ("examining pbx2", 1, 3)]


async def test_servers_are_examined_at_the_same_time_up_to_the_limit(silent: AnyServer) -> None:
    limits = ExaminationLimits(server_s=0.3, at_once=4)
    _, shown = await examined({f"pbx{n}": silent for n in range(1, 6)}, limits)
    busiest = max((text for text, _, _ in shown), key=len)
    assert busiest == "examining pbx1, pbx2, pbx3 and 1 more"
    assert shown[-1] == ("", 5, 5)


async def test_an_unexpected_error_of_a_check_is_a_failed_check_without_its_words(
    silent: AnyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect(*_: object) -> AsyncGenerator[CheckResult, None]:
        yield CheckResult("pbx1", "login", "ok", "as up to 5.5")
        raise RecursionError(SUPER_KEY)

    monkeypatch.setattr(doctor_servers, "examine_export", defect)
    (before, found), _ = await examined({"pbx1": silent}, ExaminationLimits())
    assert before.check == "login"
    assert (found.check, found.state) == ("defect", "fail")
    assert found.message == "RecursionError in defect: the checks after this one were not made"
