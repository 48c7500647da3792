"""`ringfence up --systemd`: systemd accepts the units, and no file is overwritten."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ringfence.secret_files import SERVICES
from ringfence_cli.main import main_group
from ringfence_contracts.errors import BadInput
from ringfence_local.up.systemd_units import Installation, unit_files

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def up_systemd(*words: str) -> Result:
    return CliRunner().invoke(main_group, ["up", "--systemd", *words])


def settings_of(unit: str) -> dict[str, str]:
    """The last value of each key of a unit."""
    pairs = (line.split("=", 1) for line in unit.splitlines() if "=" in line)
    return {key: value for key, value in pairs if not key.startswith("#")}


@needs_systemd
def test_systemd_accepts_the_units_without_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    result = up_systemd("--folder", str(folder), "--servers", "/etc/ringfence/servers.toml")
    assert result.exit_code == 0, result.output
    verified(folder)


@needs_systemd
def test_odd_paths_are_quoted(tmp_path: Path) -> None:
    """A blank, a percent sign, a semicolon: systemd reads the correct path."""
    place = tmp_path / "my 100%h ; home"
    place.mkdir()
    python = place / "python"
    python.symlink_to(sys.executable)
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in unit_files(Installation(place / "servers.toml", python=python)).items():
        (folder / name).write_text(text)
    verified(folder)


def verified(folder: Path) -> None:
    units = [str(path) for path in folder.iterdir() if path.suffix in (".service", ".target")]
    assert len(units) == len(SERVICES) + 4  # the console, two jobs, the target
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "ringfence" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\\b", "a$b", "a\nb"])
def test_paths_that_systemd_rejects_are_rejected(name: str) -> None:
    with pytest.raises(BadInput, match="path"):
        unit_files(Installation(Path("/etc") / name))


def test_units_are_printed_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = up_systemd()
    assert result.exit_code == 0
    for service in (*SERVICES, "console"):
        assert f"# --- ringfence-{service}.service" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten_and_then_none_is_written(tmp_path: Path) -> None:
    mine = tmp_path / "ringfence-rating.service"
    mine.write_text("# mine\n")
    result = up_systemd("--folder", str(tmp_path))
    assert result.exit_code == 1
    assert str(mine) in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert mine.read_text() == "# mine\n"


def test_writing_the_units_can_be_repeated(tmp_path: Path) -> None:
    assert "18 files written" in up_systemd("--folder", str(tmp_path)).stdout
    (tmp_path / "ringfence.target").unlink()
    assert "1 files written, 17 kept" in up_systemd("--folder", str(tmp_path)).stdout


def test_each_service_is_hardened_and_none_is_live_by_default() -> None:
    files = unit_files(Installation(Path("/etc/ringfence/servers.toml")))
    services = {name: text for name, text in files.items() if name.endswith(".service")}
    for name, text in services.items():
        settings = settings_of(text)
        assert settings["NoNewPrivileges"] == "yes", name
        assert settings["ProtectSystem"] == "strict", name
        assert settings["User"] == "ringfence", name
        assert settings["CapabilityBoundingSet"] == "", name
    assert "RINGFENCE_ACCOUNTS_DEFAULT_MODE=shadow" in services["ringfence-accounts.service"]
    ports = [line for text in services.values() for line in text.splitlines() if "_PORT=" in line]
    assert len(set(ports)) == len(SERVICES) + 4  # health of each; the API; posts; the pages


def test_the_examples_give_each_service_its_own_login() -> None:
    files = unit_files(Installation(Path("/etc/ringfence/servers.toml")))
    assert "RINGFENCE_POSTGRES_DSN" not in files["ringfence.env.example"]
    for service in SERVICES:
        settings = settings_of(files[f"{service}.env.example"])
        login = f"ringfence_{service.replace('-', '_')}_login"
        assert settings["RINGFENCE_POSTGRES_DSN"].startswith(f"postgresql://{login}@")
        file = f"/etc/ringfence/secrets/{service}/postgres-password"
        assert settings["RINGFENCE_POSTGRES_PASSWORD_FILE"] == file
        unit = files[f"ringfence-{service}.service"]
        assert f"EnvironmentFile=-/etc/ringfence/{service}.env" in unit
    assert "//postgres@" in settings_of(files["migrate.env.example"])["RINGFENCE_POSTGRES_DSN"]


def test_ports_and_mode_go_into_the_units() -> None:
    said = up_systemd("--port", "8181", "--push-port", "8171", "--default-mode", "live").stdout
    assert "Environment=RINGFENCE_ACCOUNTS_PORT=8181" in said
    assert "Environment=RINGFENCE_CDR_INGEST_PUSH_PORT=8171" in said
    assert "Environment=RINGFENCE_ACCOUNTS_DEFAULT_MODE=live" in said


def test_a_job_is_retried_until_it_succeeds(tmp_path: Path) -> None:
    """As when the machine starts and the database is not ready yet."""
    program, done = tmp_path / "python", tmp_path / "second"
    program.write_text(f'#!/bin/sh\ntest -e {done} && echo "$@" || {{ touch {done}; exit 1; }}\n')
    program.chmod(0o755)
    unit = unit_files(Installation(tmp_path / "servers.toml", python=program))
    command = settings_of(unit["ringfence-topics.service"])["ExecStart"]
    words = shlex.split(command.replace("$$", "$").replace("${RINGFENCE_TOPICS_REPLICATION}", "3"))
    ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.split()[-4:] == ["topics", "create", "--replication", "3"]


def test_paths_in_a_home_directory_are_readable_and_named() -> None:
    here = Installation(Path("/home/ana/servers.toml"))
    assert Path("/home/ana/servers.toml") in here.homes
    assert settings_of(unit_files(here)["ringfence-rating.service"])["ProtectHome"] == "read-only"
