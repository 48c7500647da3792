"""Commands find the stack that runs in their folder or in one above it."""

from pathlib import Path

import pytest

from ringfence import stack_file
from ringfence.stack_file import NothingRuns


@pytest.fixture(autouse=True)
def no_named_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RINGFENCE_STACK", "RINGFENCE_POSTGRES_DSN", "RINGFENCE_KAFKA_BOOTSTRAP"):
        monkeypatch.delenv(name, raising=False)


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
