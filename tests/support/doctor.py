"""`ringfence doctor`, run as an operator runs it."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

from ringfence_doctor.command import doctor
from tests.support.cdr_ingest import servers_toml


class Run(Protocol):
    """`ringfence doctor` with options, on a servers file of these entries."""

    async def __call__(self, *options: str, **servers: dict[str, Any]) -> Result: ...


def doctor_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, on a servers file of these entries: its exit status and what it prints."""

    async def command(*options: str, **servers: dict[str, Any]) -> Result:
        path = servers_toml(tmp_path, **servers)
        monkeypatch.setenv("RINGFENCE_SERVERS_FILE", str(path))
        return await asyncio.to_thread(CliRunner().invoke, doctor, list(options))

    return command


@dataclass
class Examined:
    """What was found of one server, and everything that was printed."""

    findings: list[dict[str, Any]]
    output: str

    def __getitem__(self, check: str) -> dict[str, Any]:
        """The one finding of a check; `subject check` where several subjects have it."""
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
    """One server's findings. Whatever is not well says what to do, and decides the exit status."""
    result = await run("--json", "--server", server_id, **{server_id: entry})
    found = Examined(json.loads(result.stdout), result.output)
    assert result.exit_code == int(bool(found.failed)), result.output
    assert all(f["do"] for f in found.findings if f["state"] != "ok"), result.output
    return found
