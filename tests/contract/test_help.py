"""`--help` is the first page that people read: each change of it is reviewed.

One golden file for each top-level command, with the help of its sub-commands below its own.
"""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from ringfence_cli.main import main_group
from tests.support.command_tree import tree
from tests.support.golden_files import compare, no_others

GOLDEN = Path(__file__).parent / "golden" / "help"
WIDTH = 80
ROOT_NAME = "ringfence"
COMMANDS = [path for path, _ in tree()]
TOP_LEVEL = sorted({path[0] if path else ROOT_NAME for path in COMMANDS})


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help needs no server."""

    def refuse(*_: object) -> None:
        raise AssertionError("--help opens a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def help_of(path: tuple[str, ...]) -> str:
    """The help of a command on a terminal of 80 columns, after the line that asks for it."""
    arguments = [*path, "--help"]
    result = CliRunner().invoke(
        main_group, arguments, prog_name=ROOT_NAME, terminal_width=WIDTH, max_content_width=WIDTH
    )
    assert result.exit_code == 0, result.output
    return f"$ {' '.join([ROOT_NAME, *arguments])}\n{result.output}"


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_help_is_as_reviewed(name: str) -> None:
    paths = [path for path in COMMANDS if (path[0] if path else ROOT_NAME) == name]
    compare(GOLDEN / f"{name}.txt", "\n".join(map(help_of, paths)))


def test_each_golden_page_belongs_to_a_command() -> None:
    no_others(GOLDEN, {f"{name}.txt" for name in TOP_LEVEL})


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_80_columns(path: tuple[str, ...]) -> None:
    too_long = [line for line in help_of(path).splitlines() if len(line) > WIDTH]
    assert not too_long, "\n".join(too_long)
