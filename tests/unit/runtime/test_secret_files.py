"""Secrets as files, and a database password that stays out of the environment."""

import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from ringfence.secret_files import SERVICES, ensure_secret, secrets_command
from ringfence.settings import CommonSettings, read_settings

COMPONENT = (
    Path(__file__).parents[3] / "deploy/kubernetes/components/kafka-login/kustomization.yaml"
)
PASSWORD = "a b/c:d@e#f?g%h"


def test_a_secret_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "rating" / "postgres-password"
    assert ensure_secret(path)
    first = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert len(first.strip()) >= 32
    assert not ensure_secret(path)
    assert path.read_text() == first


def test_a_kill_while_writing_leaves_no_empty_secret(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    (tmp_path / ".tokens.new").touch(mode=0o400)
    assert ensure_secret(path, prefix="operator:")
    assert path.read_text().startswith("operator:")
    assert [p.name for p in tmp_path.iterdir()] == ["tokens"]


def test_the_command_writes_what_is_missing_and_shows_no_secret(tmp_path: Path) -> None:
    folder = str(tmp_path / "secrets")
    done = CliRunner().invoke(secrets_command, ["create", "--folder", folder, "--pbx-key", "pbx1"])
    assert done.exit_code == 0, done.output
    assert "19 secrets written, 0 kept" in done.output
    for path in Path(folder).rglob("*"):
        assert path.is_dir() or path.read_text().strip() not in done.output
    again = CliRunner().invoke(secrets_command, ["create", "--folder", folder])
    assert "0 secrets written, 18 kept" in again.output


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        (
            "kafka",
            {f"{name}/kafka-password" for name in (*SERVICES, "console", "setup", "operator")},
        ),
        (
            "database",
            {f"{login}/postgres-password" for login in (*SERVICES, "postgres", "operator")},
        ),
        ("api", {"accounts/tokens"}),
    ],
)
def test_one_kind_of_secrets_alone(tmp_path: Path, kind: str, files: set[str]) -> None:
    words = ["create", "--folder", str(tmp_path), "--only", kind]
    assert CliRunner().invoke(secrets_command, words).exit_code == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == files


def test_the_component_for_kubernetes_finds_its_kafka_passwords(tmp_path: Path) -> None:
    words = ["create", "--folder", str(tmp_path / "secrets"), "--only", "kafka"]
    CliRunner().invoke(secrets_command, words)
    named = yaml.safe_load(COMPONENT.read_text())["secretGenerator"]
    files = {file for each in named for file in each["files"] if file.endswith("-password")}
    assert len(files) == 8
    assert [file for file in files if not (tmp_path / file).is_file()] == []


def settings(monkeypatch: pytest.MonkeyPatch, dsn: str, file: Path) -> CommonSettings:
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", dsn)
    monkeypatch.setenv("RINGFENCE_POSTGRES_PASSWORD_FILE", str(file))
    return CommonSettings()


def test_the_password_of_the_url_comes_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    found = settings(monkeypatch, "postgresql://rating@db:5432/ringfence?sslmode=require", file)
    assert found.postgres_dsn.get_secret_value() == (
        "postgresql://rating:a%20b%2Fc%3Ad%40e%23f%3Fg%25h@db:5432/ringfence?sslmode=require"
    )
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(
    ("dsn", "file", "expected"),
    [
        ("postgresql://db/ringfence", "password", "must name a login"),
        ("postgresql://rating:old@db/ringfence", "password", "and no password"),
        ("postgresql://rating@db/ringfence", "missing", "cannot be read (FileNotFoundError)"),
    ],
)
def test_contradicting_settings_are_refused_with_a_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dsn: str,
    file: str,
    expected: str,
) -> None:
    (tmp_path / "password").write_text("a-long-password")
    with pytest.raises(ValidationError):
        settings(monkeypatch, dsn, tmp_path / file)
    with pytest.raises(SystemExit):
        read_settings(CommonSettings)
    said = capsys.readouterr().err
    assert said.startswith("RINGFENCE_POSTGRES_PASSWORD_FILE: ")
    assert expected in said
    assert "old" not in said
