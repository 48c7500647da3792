"""`--help` is the first page that people read: each change of it is reviewed.

One golden file for each top-level command, with the help of its sub-commands below its own.
"""

import os
import pty
import re
import socket
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ringfence_cli.command_line.sections import OTHERS, SECTIONS, sections_of
from ringfence_cli.main import main_group
from tests.support.command_tree import command_at, tree
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


@cache
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


def right_columns(page: str) -> str:
    """The text beside options and commands, on one line."""
    words = []
    for section in re.split(r"\n(?=\S.*:\n)", page):
        rows = [re.match(r"  \S+(?: \S+)*  +(?=\S)", line) for line in section.splitlines()]
        begins = max((row.end() for row in rows if row is not None), default=0)
        words += [line[begins:] for line in section.splitlines()]
    return " ".join(" ".join(words).split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_says_everything_whole(path: tuple[str, ...]) -> None:
    """No help of an option and no first paragraph of a command below is shortened."""
    page = help_of(path)
    command = command_at(path)
    context = click.Context(command)
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    texts = [record[1] for record in records if record is not None]
    if isinstance(command, click.Group):
        below = [command_at((*path, name)) for name in command.list_commands(context)]
        texts += [(part.short_help or part.help or "").partition("\n\n")[0] for part in below]
    missing = [text for text in texts if " ".join(text.split()) not in right_columns(page)]
    assert not missing, page
    cut = page.count("…") - command.get_usage(context).count("…")
    assert cut == sum(text.count("…") for text in [command.help or "", *texts]), page


def test_every_command_is_in_exactly_one_section() -> None:
    commands = {path[0] for path in COMMANDS if path}
    assert OTHERS not in sections_of(commands), "name it in ringfence_cli.command_line.sections"
    counted = Counter(name for names in SECTIONS.values() for name in names)
    assert [name for name, count in counted.items() if count > 1] == []
    assert set(counted) - commands == set(), "there is no such command any more"


def test_a_command_without_a_section_is_listed_all_the_same() -> None:
    assert sections_of(["client", "novel"]) == {"Clients and money": ["client"], OTHERS: ["novel"]}


def shown_on_a_terminal(**environment: str) -> bytes:
    """What `ringfence tariff --help` writes to a terminal."""
    main, terminal = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.Popen(
        [sys.executable, "-m", "ringfence_cli.main", "tariff", "--help"],
        stdout=terminal, env={**kept, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(terminal)
    output = b""
    try:
        while part := os.read(main, 65536):
            output += part
    except OSError:  # Linux ends a terminal without a writer so
        pass
    assert done.wait(30) == 0
    os.close(main)
    return output


@pytest.mark.processes
def test_help_has_colours_on_a_terminal_only_and_not_with_no_color() -> None:
    assert b"\x1b[" in shown_on_a_terminal()
    assert b"\x1b[" not in shown_on_a_terminal(NO_COLOR="1")
    assert "\x1b[" not in help_of(("tariff",))
