"""Commands find the stack that runs in their folder or in one above it."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ringfence import stack_file
from ringfence.stack_file import NothingRuns
from ringfence_cli.connection import api_client


@pytest.fixture(autouse=True)
def no_named_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STACK", "POSTGRES_DSN", "KAFKA_BOOTSTRAP", "API", "TOKEN"):
        monkeypatch.delenv(f"RINGFENCE_{name}", raising=False)


def state_file(folder: Path, text: str = "{}") -> Path:
    folder.mkdir(parents=True)
    file = folder / "stack.json"
    file.write_text(text)
    return file


def test_no_file_is_found_where_no_stack_runs(tmp_path: Path) -> None:
    assert stack_file.find(tmp_path) is None


def test_the_stack_of_ringfence_up_is_found(tmp_path: Path) -> None:
    file = state_file(tmp_path / ".ringfence-up")
    assert stack_file.find(tmp_path) == file


def test_two_stacks_in_one_folder_are_refused(tmp_path: Path) -> None:
    state_file(tmp_path / ".ringfence-up")
    state_file(tmp_path / ".ringfence")
    with pytest.raises(NothingRuns, match=r"RINGFENCE_STACK=\.ringfence-up"):
        stack_file.find(tmp_path)


def test_a_named_state_folder_counts_before_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_file(tmp_path / ".ringfence")
    named = state_file(tmp_path / "elsewhere")
    monkeypatch.setenv("RINGFENCE_STACK", str(named.parent))
    assert stack_file.find(tmp_path) == named


def test_database_and_brokers_are_found_from_a_folder_below_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '{"dsn": "postgresql://stack", "bootstrap": "127.0.0.1:9092"}'
    file = state_file(tmp_path / ".ringfence", text)
    below = tmp_path / "docs" / "runbooks"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert stack_file.find() == file
    assert stack_file.database_dsn() == "postgresql://stack"
    assert stack_file.kafka_bootstrap() == "127.0.0.1:9092"


def test_the_nearest_stack_counts(tmp_path: Path) -> None:
    state_file(tmp_path / ".ringfence")
    near = state_file(tmp_path / "other" / ".ringfence")
    assert stack_file.find(tmp_path / "other") == near


def test_a_state_file_that_is_not_json_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = state_file(tmp_path / ".ringfence", "{")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NothingRuns, match=f"{file} cannot be read"):
        stack_file.database_dsn()


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o702])
@pytest.mark.parametrize("part", ["folder", "file"])
def test_a_stack_that_others_may_write_is_refused(tmp_path: Path, part: str, mode: int) -> None:
    file = state_file(tmp_path / ".ringfence")
    (file if part == "file" else file.parent).chmod(mode)
    with pytest.raises(NothingRuns, match="other users may write it"):
        stack_file.find(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("part", ["folder", "file"])
def test_a_stack_of_another_user_is_refused(tmp_path: Path, part: str) -> None:
    file = state_file(tmp_path / ".ringfence")
    os.chown(file if part == "file" else file.parent, 12345, 12345)
    with pytest.raises(NothingRuns, match="belongs to another user"):
        stack_file.find(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")
def test_a_link_of_another_user_to_a_stack_is_refused(tmp_path: Path) -> None:
    own = state_file(tmp_path / "own" / ".ringfence")
    link = tmp_path / ".ringfence"
    link.symlink_to(own.parent)
    assert stack_file.find(tmp_path) == link / "stack.json"
    os.lchown(link, 12345, 12345)
    with pytest.raises(NothingRuns, match="belongs to another user"):
        stack_file.find(tmp_path)


@click.command()
def connect() -> None:
    """Makes a client of the API, as every command does."""
    api_client()


def connected(stack: Path, **environment: str) -> str:
    """What a command prints that connects in the folder of a stack."""
    result = CliRunner(env={"RINGFENCE_STACK": str(stack), **environment}).invoke(connect)
    assert result.exit_code in (0, 2), result.output
    return " ".join(result.output.split())


def test_a_token_of_the_environment_is_not_sent_to_an_address_of_a_file(tmp_path: Path) -> None:
    stack = state_file(tmp_path / ".ringfence", '{"api": "http://192.0.2.1"}').parent
    refused = connected(stack, RINGFENCE_TOKEN="of-the-environment")
    assert "not sent to an address that is in a file" in refused
    assert "of-the-environment" not in refused
    both = {"RINGFENCE_TOKEN": "of-the-environment", "RINGFENCE_API": "http://192.0.2.2"}
    assert connected(stack, **both) == ""


def test_a_tokens_file_is_read_below_the_folder_of_the_stack_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("piece:of-a-private-file")
    stack = state_file(tmp_path / ".ringfence").parent
    (stack / "link").symlink_to(secret)
    for named in (secret, stack / ".." / "secret", stack / "link"):
        text = json.dumps({"api": "http://192.0.2.1", "tokens_file": str(named)})
        (stack / "stack.json").write_text(text)
        assert "outside of the stack's folder" in connected(stack)
    (stack / "tokens").write_text("local:a-token-of-the-stack")
    text = json.dumps({"api": "http://192.0.2.1", "tokens_file": str(stack / "tokens")})
    (stack / "stack.json").write_text(text)
    assert connected(stack) == ""
