"""A real Prometheus returns data for every query of the dashboards."""

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from ringfence_local.embedded.ports import free_port as find_free_port
from ringfence_testing.wait import until

ROOT = Path(__file__).parents[3]
EXPORTER = "tests.support.metrics_process"


def expressions() -> dict[str, str]:
    """The queries by dashboard, panel and number, with a window in place of the variable."""
    found = {}
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for number, target in enumerate(panel.get("targets", ())):
                name = f"{path.stem}: {panel['title']} {number}"
                found[name] = target["expr"].replace("$__rate_interval", "1m")
    return found


@asynccontextmanager
async def running(*command: str, **settings: str) -> AsyncIterator[Process]:
    process = await create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **settings}, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def configured(folder: Path, target: str) -> Path:
    """The configuration of deploy/prometheus, changed to scrape one process every second."""
    content = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    content["global"] = {"scrape_interval": "1s"}
    del content["rule_files"]
    (job,) = content["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
async def test_every_query_returns_data(tmp_path: Path) -> None:
    exporter, prometheus = find_free_port(), find_free_port()
    command = (
        "prometheus",
        f"--config.file={configured(tmp_path, f'127.0.0.1:{exporter}')}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{prometheus}",
    )
    path = str(ROOT / "deploy/dashboards/src")
    async with (
        running(sys.executable, "-m", EXPORTER, str(exporter), PYTHONPATH=path),
        running(*command),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{prometheus}") as http,
    ):

        async def ask(expression: str) -> list[object]:
            try:
                answer = await http.get("/api/v1/query", params={"query": expression})
            except httpx.TransportError:
                return []  # it starts
            if answer.status_code == 503:
                return []
            assert answer.status_code == 200, answer.text
            found: list[object] = answer.json()["data"]["result"]
            return found

        async def is_rising() -> bool:
            return bool(await ask("rate(ringfence_events_total[1m]) > 0"))

        await until(is_rising, timeout_s=60, what="two readings of the exporter")
        answers = await asyncio.gather(*(ask(each) for each in expressions().values()))
    empty = [name for name, found in zip(expressions(), answers, strict=True) if not found]
    assert empty == []
