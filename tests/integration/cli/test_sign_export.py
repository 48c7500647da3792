"""`ringfence server sign-export`: the PBX's database signs its rows if the operator agrees."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ringfence_cli.main import main_group
from ringfence_pbx.servers import load_servers
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from tests.support.fusionpbx import MCON, outbound, simulated

FILE = """\
# Ours.
[servers.other]
kind = "fusionpbx"
url = "http://127.0.0.1:1"
api_key = {{ env = "TEST_FUSIONPBX_SUPER" }}

[servers."pbx-1"]  # the PBX of the town
kind = "fusionpbx"
url = "{url}"
api_key = {{ env = "TEST_FUSIONPBX_{key}" }}
host = "{host}"
all_tenants = true
"""


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FusionPbxSimulator]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RINGFENCE_SERVERS_FILE", raising=False)
    async with simulated(monkeypatch, line="5.6", clock=time.time) as simulator:
        write(simulator)
        yield simulator


def write(pbx: FusionPbxSimulator, key: str = "SUPER", *, tenant: bool = False) -> None:
    """The servers file in the working folder; with `tenant`, of one tenant."""
    text = FILE.format(url=pbx.url, host=MCON, key=key)
    if tenant:
        text = text.replace(f'host = "{MCON}"\nall_tenants = true', f'tenants = ["{MCON}"]')
    Path("servers.toml").write_text(text)


def content(name: str) -> str:
    """A file in the working folder; empty if there is none."""
    path = Path(name)
    return path.read_text() if path.is_file() else ""


async def sign(*words: str, typed: str = "") -> Result:
    command = ["server", "sign-export", "pbx-1", *words]
    return await asyncio.to_thread(partial(CliRunner().invoke, main_group, command, input=typed))


async def test_settings_are_entered_and_rows_are_signed(pbx: FusionPbxSimulator) -> None:
    pbx.pbx.place(outbound(caller_id_name='Bob","x\n'))
    done = await sign("--yes")
    assert done.exit_code == 0, done.output
    assert "The database of pbx-1 signs its rows now." in done.output
    server = load_servers(Path("servers.toml")).fusionpbx["pbx-1"]
    secret = content("secrets/pbx-1-export").strip()
    assert server.export_secret is not None
    assert server.export_secret.read().get_secret_value() == secret
    assert os.stat("secrets/pbx-1-export").st_mode & 0o777 == 0o600
    assert secret not in done.output
    assert content("servers.toml").startswith("# Ours.\n")
    assert "# the PBX of the town" in content("servers.toml")
    entered = len(pbx.pbx.default_settings)
    again = await sign("--yes")
    assert "signed already; nothing was entered" in again.output
    assert len(pbx.pbx.default_settings) == entered


async def test_nothing_is_entered_without_consent(pbx: FusionPbxSimulator) -> None:
    done = await sign(typed="n\n")
    assert done.exit_code == 1
    assert "default settings are entered" in done.output
    assert pbx.pbx.default_settings == []
    assert not content("secrets/pbx-1-export")


async def test_an_admins_key_is_refused_in_words(pbx: FusionPbxSimulator) -> None:
    write(pbx, key="ADMIN", tenant=True)
    done = await sign("--yes")
    assert done.exit_code != 0
    assert "lets superadmins with the right default_setting_add" in str(done.exception)


async def test_an_unknown_server_is_named(pbx: FusionPbxSimulator) -> None:
    done = await asyncio.to_thread(
        CliRunner().invoke, main_group, ["server", "sign-export", "pbx-9", "--yes"]
    )
    assert "a FusionPBX that is read by its export" in str(done.exception)
    assert pbx.pbx.default_settings == []
