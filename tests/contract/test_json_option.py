"""Every command that prints something has `--json`, so that a program can read it."""

import click
import pytest

from tests.support.command_tree import command_at, commands

EXCEPTIONS = {
    ("completion",): "prints a script for a shell",
    ("demo",): "plays a story for a person to watch",
    ("init",): "asks questions and writes files",
    ("lesnet", "profile"): "prints a file to be copied",
    ("run",): "runs until Ctrl-C, with a live view",
    ("server", "sign-export"): "asks, enters settings and writes files",
    ("tariff", "export"): "writes CSV, which `tariff import` reads",
    ("up",): "runs until Ctrl-C; --systemd prints files to be copied",
}
"""Commands without `--json`, each with the reason."""


def json_option_of(command: click.Command) -> click.Option | None:
    found = (each for each in command.params if "--json" in each.opts)
    option = next(found, None)
    assert option is None or isinstance(option, click.Option)
    return option


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_can_print_json(path: tuple[str, ...]) -> None:
    option = json_option_of(command_at(path))
    if path in EXCEPTIONS:
        assert option is None, "it has --json: remove it from EXCEPTIONS"
        return
    assert option is not None, "give it --json, or name it in EXCEPTIONS with a reason"
    assert option.is_flag
    assert "JSON" in (option.help or "")


def test_exceptions_exist() -> None:
    assert set(EXCEPTIONS) <= set(commands())
