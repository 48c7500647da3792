"""Without a source, the service idles, is healthy, and logs what to configure."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from ringfence_testing.wait import until
from tests.support.cdr_ingest import Ingest, ingest, servers_toml

FUSIONPBX = {"kind": "fusionpbx", "url": "http://127.0.0.1:1", "api_key": {"env": "TEST_IDLE_KEY"}}
LESNET = {"kind": "lesnet", "url": "http://127.0.0.1:1"}
LINK = {"url": "http://127.0.0.1:1/x", "peer": "A" * 13, "dids": ["5195550100"]}
SAID = "nothing to read from"

Start = Callable[..., AbstractAsyncContextManager[Ingest]]


@pytest.fixture
def start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kafka_bootstrap: str, database: str
) -> Start:
    """The service with these entries; without any, with a file that has none."""
    monkeypatch.setenv("TEST_IDLE_KEY", "k" * 40)

    def run(**servers: Any) -> AbstractAsyncContextManager[Ingest]:
        path = servers_toml(tmp_path, **servers)
        if not servers:
            path.write_text("[servers]\n")
        return ingest(kafka_bootstrap, database, path)

    return run


@pytest.mark.parametrize(
    "servers", [{}, {"pbx1": FUSIONPBX}, {"l1": LESNET}], ids=["none", "no tenants", "no links"]
)
async def test_without_a_source_it_idles_and_logs_once_what_to_configure(
    start: Start, capsys: pytest.CaptureFixture[str], servers: dict[str, Any]
) -> None:
    async with start(**servers) as service:
        outbox, *_ = await until(lambda: service.health.loops)
        begun = outbox.last_turn
        await until(lambda: outbox.last_turn > begun)
        assert not service.task.done()
        assert service.health.report()["status"] == "ok"
    output = capsys.readouterr().out
    assert output.count(SAID) == 1
    assert "RINGFENCE_SERVERS_FILE" in output
    for server_id in servers:
        assert server_id in output


@pytest.mark.parametrize(
    "servers",
    [
        {"pbx1": {**FUSIONPBX, "push": {"open": True}}},
        {"pbx1": {**FUSIONPBX, "tenants": ["north.example"]}},
        {"l1": {**LESNET, "links": [LINK]}},
    ],
    ids=["push", "tenants", "links"],
)
async def test_with_a_source_it_does_not_log_that(
    start: Start, capsys: pytest.CaptureFixture[str], servers: dict[str, Any]
) -> None:
    async with start(**servers) as service:
        await until(lambda: any(loop.name == "jobs" for loop in service.health.loops))
    assert SAID not in capsys.readouterr().out
