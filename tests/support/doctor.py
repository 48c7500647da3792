"""Runs `ringfence doctor --here` as an operator does."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

from ringfence_cli.servers.doctor import doctor
from tests.support.cdr_ingest import servers_toml


class Run(Protocol):
    """`ringfence doctor --here` with options, on a servers file of these entries."""

    async def __call__(self, *options: str, **servers: dict[str, Any]) -> Result: ...


def doctor_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, on a servers file of these entries: its exit status and what it prints."""

    async def command(*options: str, **servers: dict[str, Any]) -> Result:
        path = servers_toml(tmp_path, **servers)
        monkeypatch.setenv("RINGFENCE_SERVERS_FILE", str(path))
        return await asyncio.to_thread(CliRunner().invoke, doctor, ["--here", *options])

    return command


@dataclass
class Examined:
    """The results of one server as JSON objects, and the whole output."""

    findings: list[dict[str, Any]]
    output: str

    def __getitem__(self, check: str) -> dict[str, Any]:
        """The only result of a check; `subject check` if several subjects have the check."""
        named = [f for f in self.findings if check in (f["check"], f"{f['subject']} {f['check']}")]
        assert len(named) == 1, f"{check}: {named}"
        return named[0]

    def __contains__(self, check: str) -> bool:
        return any(check in (f["check"], f"{f['subject']} {f['check']}") for f in self.findings)

    @property
    def failed(self) -> set[str]:
        """The checks that failed."""
        return {f["check"] for f in self.findings if f["state"] == "fail"}


async def examined(run: Run, server_id: str, entry: dict[str, Any]) -> Examined:
    """Run the doctor for one server; checks the exit status and that each problem has an action."""
    result = await run("--json", "--server", server_id, **{server_id: entry})
    found = Examined(json.loads(result.stdout), result.output)
    assert result.exit_code == int(bool(found.failed)), result.output
    assert all(f["do"] for f in found.findings if f["state"] != "ok"), result.output
    return found
