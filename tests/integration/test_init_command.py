"""`ringfence init`: what it asks, what it writes, and that it writes over nothing."""

import os
import pty
import re
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ringfence.cli import main_group
from ringfence.pbx.servers import load_servers

KEY = "0123456789-0123456789-0123456789"
GIVEN = ("--url", "https://pbx.example.net/", "--host", "voip.example.net")
BOUND_S = 30.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str, typed: str = "") -> Result:
    """The command without a terminal."""
    return CliRunner().invoke(main_group, ["init", *words], input=typed)


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
    assert "ringfence doctor --server pbx1" in result.stdout


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
    assert {path.name for path in home.iterdir()} == {"mine", "servers.toml"}


@pytest.mark.parametrize("name", ["servers.toml", "secrets/pbx1-key"])
def test_nothing_is_written_over(home: Path, name: str) -> None:
    (home / "secrets").mkdir()
    (home / name).write_text("mine")
    result = init(*GIVEN, "--api-key-file", "-", typed=KEY)
    assert result.exit_code == 1
    assert name in result.stderr
    assert [path.name for path in home.rglob("*") if path.is_file()] == [Path(name).name]
    assert (home / name).read_text() == "mine"


def test_without_a_terminal_it_names_what_is_missing_and_ends(home: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "ringfence.cli", "init"],
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
def test_what_services_would_refuse_is_refused_before_anything_is_written(
    home: Path, words: tuple[str, ...], typed: str, names: str
) -> None:
    result = init(*words, "--api-key-file", "-", typed=typed)
    assert result.exit_code == 2, result.output
    assert names in result.stderr
    assert "hush" not in result.stderr
    assert list(home.iterdir()) == []


def test_odd_values_are_written_as_they_are(home: Path) -> None:
    result = init("--url", "https://x/\"q\\", "--host", "bücher.example", "--api-key-file", "-",
                  typed=KEY)  # fmt: skip
    assert result.exit_code == 0, result.output
    server = load_servers(home / "servers.toml").fusionpbx["pbx1"]
    assert (server.url, server.host) == ('https://x/"q\\', "bücher.example")


def test_on_a_terminal_it_asks_and_does_not_show_the_key(home: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "ringfence.cli", "init"])  # noqa: S606
    try:
        shown = typed_at(terminal, "URL", "https://pbx.example.net")
        shown += typed_at(terminal, "Domain", "voip.example.net")
        shown += typed_at(terminal, "API key", KEY)
        shown += read_until(terminal, "ringfence up")
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -1)  # -1: the terminal went before it did
    assert KEY not in shown
    server = load_servers(home / "servers.toml").fusionpbx["pbx1"]
    assert server.api_key.read().get_secret_value() == KEY


def typed_at(terminal: int, prompt: str, answer: str) -> str:
    shown = read_until(terminal, f"{prompt}.*: ")
    os.write(terminal, f"{answer}\n".encode())
    return shown


def read_until(terminal: int, pattern: str) -> str:
    shown = ""
    while not re.search(pattern, shown):
        ready, _, _ = select.select([terminal], [], [], BOUND_S)
        assert ready, f"{pattern!r} was not shown within {BOUND_S} s: {shown!r}"
        shown += os.read(terminal, 4096).decode()
    return shown
