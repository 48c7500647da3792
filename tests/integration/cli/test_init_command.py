"""`ringfence init`: its questions, the files that it writes, and that it overwrites none."""

import asyncio
import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ringfence.settings_file import load_settings_file
from ringfence_cli.main import main_group
from ringfence_pbx.servers import load_servers
from tests.support.fusionpbx import MCON, RUCKEN, SUPER_KEY, outbound, simulated

KEY = "0123456789-0123456789-0123456789"
GIVEN = ("--url", "https://pbx.example.net/", "--host", "voip.example.net")
BOUND_S = 30.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str, typed: str = "") -> Result:
    """Run the command without a terminal. The servers of these tests do not exist."""
    return CliRunner().invoke(main_group, ["init", "--no-look", *words], input=typed)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def is_shell(script: Path) -> bool:
    return subprocess.run(["sh", "-n", script], check=False).returncode == 0


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    async with simulated(monkeypatch, line="5.6", clock=time.time) as simulator:
        simulator.pbx.place(outbound())
        yield simulator.url


async def looked(url: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, without a terminal."""
    words = ("--url", url, "--host", MCON, "--smtp-host", "mail.example", "--sender", "b@x.example")
    return await asyncio.to_thread(
        partial(
            subprocess.run,
            [sys.executable, "-m", "ringfence_cli.main", "init", *words, "--api-key-file", "-"],
            capture_output=True, text=True, timeout=BOUND_S, check=False, **settings,
        )
    )  # fmt: skip


async def test_the_pbx_is_checked_and_products_are_proposed(home: Path, pbx: str) -> None:
    """The output fits into 80 columns; the proposed commands have the items of the PBX."""
    done = await looked(pbx, input=SUPER_KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.replace(str(home), "~").splitlines())) <= 80
    for output in (
        "the api key logs in",
        "0 fail",
        "pbx1 has 2 tenants, 3 extensions, 0 DIDs and 2 gateways:",
        "ringfence up",
        "sh products-pbx1.sh",
    ):
        assert output in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [MCON, "2", "0", "1"] in rows
    assert [RUCKEN, "1", "0", "1"] in rows
    assert SUPER_KEY not in done.stdout + done.stderr
    commands = (home / "products-pbx1.sh").read_text()
    assert commands.count("ringfence product set ACCOUNT ") == 2
    assert f'domain_tenant_and_main_dids="{MCON}"' in commands
    assert 'extensions="2112 | 2113"' in commands
    assert is_shell(home / "products-pbx1.sh")


async def test_a_wrong_key_is_reported_and_the_files_are_kept(home: Path, pbx: str) -> None:
    done = await looked(pbx, input=KEY)
    assert done.returncode == 1
    assert "refuses the api key: check the key" in " ".join(done.stdout.split())
    assert "ringfence doctor --here --server pbx1 until no check fails" in done.stdout
    assert "What pbx1 has is not listed while a check fails." in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert names_in(home) == {"servers.toml", "ringfence.toml", "secrets"}


def test_the_settings_file_applies_to_every_command_of_the_folder(home: Path) -> None:
    mail = ("--smtp-host", "mail.example", "--sender", "billing@voip.example")
    assert init(*GIVEN, *mail, "--api-key-file", "-", typed=KEY).exit_code == 0
    environment = {"RINGFENCE_NOTIFIER_SENDER": "another@voip.example"}
    load_settings_file(home, environment)
    assert environment == {
        "RINGFENCE_SERVERS_FILE": "servers.toml",
        "RINGFENCE_NOTIFIER_SMTP_HOST": "mail.example",
        "RINGFENCE_NOTIFIER_SENDER": "another@voip.example",
    }


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("", 0o666, "nobody else may write"),
        ("colour = 'red'", 0o600, "colour"),
        ("[notifier]\nsmtp_password = 'hush'", 0o600, "no secret"),
        ("postgres_dsn = 'postgresql://me:hush@db/x'", 0o600, "no secret"),
        ("servers_file = ", 0o600, "readable TOML"),
    ],
)
def test_invalid_settings_end_every_command(home: Path, text: str, mode: int, says: str) -> None:
    (home / "ringfence.toml").write_text(text)
    (home / "ringfence.toml").chmod(mode)
    done = subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", "topics", "acls"],
        capture_output=True, text=True, timeout=BOUND_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert says in done.stderr
    assert "hush" not in done.stderr


def test_a_key_from_standard_input_goes_into_a_file_of_its_own(home: Path) -> None:
    result = init(*GIVEN, "--api-key-file", "-", typed=f"{KEY}\n")
    assert result.exit_code == 0, result.output
    server = load_servers(home / "servers.toml").fusionpbx["pbx1"]
    assert (server.url, server.host, server.all_tenants) == (
        "https://pbx.example.net", "voip.example.net", True,
    )  # fmt: skip
    assert server.api_key.read().get_secret_value() == KEY
    secret = home / "secrets" / "pbx1-key"
    assert server.api_key.file == secret
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert KEY not in (home / "servers.toml").read_text() + result.output
    assert "ringfence doctor --here --server pbx1" in result.stdout


def test_a_key_in_a_file_stays_there(home: Path) -> None:
    (home / "mine").write_text(f"{KEY}\n")
    result = init(
        "--url", "https://pbx.example.net", "--tenant", "a.example", "--tenant", "b.example",
        "--api-key-file", "mine", "--id", "ber.lin",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    server = load_servers(home / "servers.toml").fusionpbx["ber.lin"]
    assert (server.tenants, server.all_tenants) == (("a.example", "b.example"), False)
    assert server.api_key.file == home / "mine"
    assert names_in(home) == {"mine", "servers.toml", "ringfence.toml"}


@pytest.mark.parametrize("name", ["servers.toml", "secrets/pbx1-key"])
def test_no_file_is_overwritten(home: Path, name: str) -> None:
    (home / "secrets").mkdir()
    (home / name).write_text("mine")
    result = init(*GIVEN, "--api-key-file", "-", typed=KEY)
    assert result.exit_code == 1
    assert name in result.stderr
    assert [path.name for path in home.rglob("*") if path.is_file()] == [Path(name).name]
    assert (home / name).read_text() == "mine"


def test_without_a_terminal_missing_options_are_listed(home: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", "init"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOUND_S, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    for option in ("--url", "--host", "--api-key-file"):
        assert option in process.stderr
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "typed", "names"),
    [
        (("--url", "pbx.example.net", "--host", "d"), KEY, "url"),
        ((*GIVEN, "--id", "../x"), KEY, "--id"),
        (GIVEN, "hush-short", "10 characters"),
        (GIVEN, "", "0 characters"),
        ((*GIVEN, "--tenant", "a.example"), KEY, "not both"),
    ],
    ids=["url", "id", "short key", "no key", "host and tenant"],
)
def test_values_that_services_would_refuse_are_refused_before_writing(
    home: Path, words: tuple[str, ...], typed: str, names: str
) -> None:
    result = init(*words, "--api-key-file", "-", typed=typed)
    assert result.exit_code == 2, result.output
    assert names in result.stderr
    assert "hush" not in result.stderr
    assert list(home.iterdir()) == []


def test_unusual_values_are_written_unchanged(home: Path) -> None:
    result = init("--url", "https://x/\"q\\", "--host", "bücher.example", "--api-key-file", "-",
                  typed=KEY)  # fmt: skip
    assert result.exit_code == 0, result.output
    server = load_servers(home / "servers.toml").fusionpbx["pbx1"]
    assert (server.url, server.host) == ('https://x/"q\\', "bücher.example")


def test_on_a_terminal_it_asks_and_does_not_show_the_key(home: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "ringfence_cli.main", "init", "--no-look"])  # noqa: S606
    try:
        shown = typed_at(terminal, "URL", "https://pbx.example.net")
        shown += typed_at(terminal, "Domain", "voip.example.net")
        shown += typed_at(terminal, "API key", KEY)
        shown += typed_at(terminal, "Mail server", "mail.example")
        shown += typed_at(terminal, "Sender", "")
        shown += read_until_it_ends(terminal)
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "ringfence up" in shown
    assert KEY not in shown
    assert 'sender = "billing@voip.example.net"' in (home / "ringfence.toml").read_text()
    server = load_servers(home / "servers.toml").fusionpbx["pbx1"]
    assert server.api_key.read().get_secret_value() == KEY


def typed_at(terminal: int, prompt: str, answer: str) -> str:
    shown = read_until(terminal, f"{prompt}.*: ")
    os.write(terminal, f"{answer}\n".encode())
    return shown


def read_until_it_ends(terminal: int) -> str:
    """On Linux, reading a terminal whose program ended raises an error, not an end of file."""
    shown = ""
    while True:
        ready, _, _ = select.select([terminal], [], [], BOUND_S)
        assert ready, f"it did not end within {BOUND_S} s: {shown!r}"
        try:
            read = os.read(terminal, 4096)
        except OSError:
            return shown
        if not read:
            return shown
        shown += read.decode()


def read_until(terminal: int, pattern: str) -> str:
    shown = ""
    while not re.search(pattern, shown):
        ready, _, _ = select.select([terminal], [], [], BOUND_S)
        assert ready, f"{pattern!r} was not shown within {BOUND_S} s: {shown!r}"
        shown += os.read(terminal, 4096).decode()
    return shown
