"""`ringfence up`: for the operator's PBXs, in shadow mode, without writing operators' files."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from ringfence_cli.main import main_group
from ringfence_local.demo.sample import CLIENTS, SampleApi, add_client, load_sample
from ringfence_local.demo.scene import PBX_DOMAIN, PBX_ID, initial_pbx_seed, write_simulator_files
from ringfence_local.errors import StackError
from ringfence_local.up.environment_notes import environment_notes
from ringfence_testing.wait import until
from tests.support.console import console_shows
from tests.support.narrow import present

KEY = "a-key-of-at-least-31-characters-0001"
CLIENT = CLIENTS[2]  # opens with 1.20, switched by its extensions
SERVERS = """\
[servers.{id}]
kind = "fusionpbx"
url = "http://127.0.0.1:{port}"
host = "{domain}"
api_key = {{ file = "keys/pbx1" }}
all_tenants = true
poll_s = 1.0
poll_rest_s = 1.0
"""


@dataclass(frozen=True)
class Addresses:
    """The addresses of the stack, and that of the test's PBX."""

    api_url: str
    api_token: str
    pbx_url: str


@pytest.fixture
def home(tmp_path: Path, free_port: int) -> Path:
    """An operator's folder: a servers file, and the key file that it names."""
    folder = tmp_path / "operator"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "pbx1").write_text(KEY)
    (folder / "servers.toml").write_text(
        SERVERS.format(id=PBX_ID, port=free_port, domain=PBX_DOMAIN)
    )
    return folder


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of all files outside the state folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".ringfence-up" not in path.parts
    }


@asynccontextmanager
async def program(*words: str, **settings: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *words, **settings)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()  # what it started ends with it
            await process.wait()


async def test_the_first_call_of_an_own_pbx_is_rated_in_shadow(
    home: Path, database: str, free_port: int
) -> None:
    """Embedded Kafka, a given PostgreSQL; the credit is used up, and nothing is switched off."""
    before = files_of(home)
    seed = home.parent / "pbx.json"
    seed.write_text(json.dumps(initial_pbx_seed(KEY)))
    port, log = ("--port", str(free_port)), home.parent / "up.log"
    environment = {**os.environ, "RINGFENCE_POSTGRES_DSN": database}
    with log.open("wb") as output:
        async with (
            program("ringfence_simulators.fusionpbx", *port, "--seed", str(seed)),
            program("ringfence_cli.main", "up", cwd=home, env=environment, stdout=output,
                    stderr=output) as up,
        ):  # fmt: skip
            stack = await state_of(home / ".ringfence-up", up, log)
            await money_goes(stack, f"http://127.0.0.1:{free_port}", database)
            await console_shows(
                f"http://127.0.0.1:{stack['ports']['console']}", token_of(stack), CLIENT
            )
            up.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(up.wait(), 240) == 0
    assert files_of(home) == before
    assert not (home / ".ringfence-up" / "stack.json").exists()
    check_first_output(read(log), home, stack)


async def state_of(folder: Path, up: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    """The state file, once the stack has printed its first output."""
    await until(
        lambda: up.returncode is not None or "mode live --all" in read(log),
        timeout_s=120,
        what="the stack is up",
    )
    assert up.returncode is None, read(log)
    found: dict[str, Any] = json.loads(read(folder / "stack.json"))
    return found


def read(path: Path | str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


def token_of(stack: dict[str, Any]) -> str:
    return read(stack["tokens_file"]).partition(":")[2]


async def money_goes(stack: dict[str, Any], pbx_url: str, database: str) -> None:
    """A client with 1.20 makes a call that costs more; the extensions stay on."""
    token = token_of(stack)
    api = f"http://127.0.0.1:{stack['ports']['accounts']}"
    call = {
        "domain_name": CLIENT.tenant,
        "extension": CLIENT.extensions[0],
        "direction": "outbound",
        "destination_number": "01188165501000",
        "billsec": 60,
    }
    async with SampleApi(Addresses(api, token, pbx_url)) as sample:
        await load_sample(sample, [])
        await add_client(sample, CLIENT)
        await sample.pbx("calls", call)
        connection = await asyncpg.connect(database)
        try:
            would = await until(lambda: would_be(connection), timeout_s=60, what="a decision")
        finally:
            await connection.close()
        assert dict(present(would)) == {
            "live": False,
            "would": "suspended",
            "balance_micro": -600_000,
        }
        assert (await sample.ask(f"/clients/{CLIENT.account_id}"))["mode"] == "shadow"
        of_client = [
            extension
            for extension in (await sample.pbx_state())["extensions"]
            if extension["domain"] == CLIENT.tenant
        ]
        assert [extension["can_call"] for extension in of_client] == [True, True]


async def would_be(connection: asyncpg.Connection) -> asyncpg.Record | None:
    """The client's product, once it would be off."""
    return await connection.fetchrow(
        "select s.live, s.would, b.balance_micro from report.service_state s"
        " join report.balance b using (account_id)"
        " where s.account_id = $1 and s.would = 'suspended'",
        CLIENT.account_id,
    )


def check_first_output(output: str, home: Path, stack: dict[str, Any]) -> None:
    """Check the first output: addresses, shadow mode, and what to do next."""
    assert f"http://127.0.0.1:{stack['ports']['accounts']}/v1" in output
    assert f"http://127.0.0.1:{stack['ports']['console']}" in output
    assert stack["tokens_file"] in output
    assert f"{home / 'servers.toml'}: {PBX_ID} (fusionpbx)" in output
    assert stack["servers_file"] == str(home / "servers.toml")
    assert "(from RINGFENCE_POSTGRES_DSN)" in output
    assert "Shadow: " in output
    assert "ringfence doctor" in output
    assert f"ringfence server propose {PBX_ID}" in output


def refused(*words: str) -> str:
    """The error of `ringfence up` when it does not start."""
    result = CliRunner().invoke(main_group, ["up", *words])
    assert result.exit_code == 1, result.output
    return result.stderr


def test_a_missing_servers_file_is_named(tmp_path: Path) -> None:
    output = refused("--servers", str(tmp_path / "mine.toml"), "--folder", str(tmp_path / "state"))
    assert "mine.toml" in output
    assert "docs/servers.md" in output
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[servers.pbx1\n", "valid TOML"),
        ("", "servers"),
        ("[servers]\n", "at least one [servers.ID]"),
        ("[servers.pbx1]\nkind = 'fusionpbx'\nurl = 'http://x'\napi_kee = 'hush'\n", "pbx1"),
        (SERVERS.format(id="pbx1", port=1, domain="d") + "colour = 'red'\n", "colour"),
        (SERVERS.format(id="pbx1", port=1, domain="d"), "servers.pbx1.api_key"),
    ],
    ids=["TOML", "empty", "no server", "misspelt", "unknown field", "secret not there"],
)
def test_an_invalid_servers_file_is_refused_with_its_path(
    tmp_path: Path, text: str, names: str
) -> None:
    """Before anything is started, and without values that may be secret."""
    (tmp_path / "servers.toml").write_text(text)
    output = refused(
        "--servers", str(tmp_path / "servers.toml"), "--folder", str(tmp_path / "state")
    )
    assert names in output
    assert "hush" not in output
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("variable", "value", "names"),
    [
        ("RINGFENCE_POSTGRES_PASSWORD_FILE", "/run/secrets/pg", "RINGFENCE_POSTGRES_DSN"),
        ("RINGFENCE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "RINGFENCE_KAFKA_BOOTSTRAP"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused_with_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, names: str
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.delenv("RINGFENCE_KAFKA_BOOTSTRAP", raising=False)
    monkeypatch.delenv("RINGFENCE_POSTGRES_DSN", raising=False)
    monkeypatch.setenv(variable, value)
    output = refused()
    assert variable in output
    assert names in output
    assert not (home / ".ringfence-up").exists()


def test_make_run_does_not_overwrite_an_operators_servers_file(home: Path) -> None:
    before = files_of(home)
    with pytest.raises(StackError, match="ringfence up --servers"):
        write_simulator_files(home, "http://127.0.0.1:1")
    assert files_of(home).items() >= before.items()


def test_make_run_names_the_servers_of_the_environment() -> None:
    lines = list(
        environment_notes(
            {
                "RINGFENCE_POSTGRES_DSN": "postgresql://me:hush@db.example.net:5433/billing",
                "RINGFENCE_KAFKA_BOOTSTRAP": "kafka.example.net:9092",
                "RINGFENCE_SERVERS_FILE": "/etc/servers.toml",
                "RINGFENCE_LOG_LEVEL": "DEBUG",
            }
        )
    )
    assert len(lines) == 3
    assert "kafka.example.net:9092" in lines[0]
    assert "db.example.net:5433/billing" in lines[1]
    assert "ringfence up" in lines[2]
    assert "hush" not in "".join(lines)
    assert list(environment_notes({})) == []


def test_the_demo_does_not_remove_foreign_files(home: Path) -> None:
    before = files_of(home)
    result = CliRunner().invoke(main_group, ["demo", "--folder", str(home)])
    assert result.exit_code == 1
    assert "not of a stack" in result.stderr
    assert files_of(home) == before
