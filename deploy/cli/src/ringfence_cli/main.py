"""The `ringfence` command. Each installed package brings its own commands by an entry point.

So `ringfence vectors rating` runs functions of the rating service although no service imports
another. A package that is not installed has no commands here.
"""

import ast
import os
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import click

from ringfence.version import describe_version
from ringfence_contracts.errors import RingfenceError


class _Commands(click.Group):
    """Loads a command's package only when the command is used or listed."""

    def __init__(self, group: str, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self._found: dict[str, EntryPoint] = {
            point.name: point for point in entry_points(group=group)
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._found})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._found:
            loaded: click.Command = self._found[cmd_name].load()
            return _with_parts_of_others(cmd_name, loaded)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with docstrings from their source: importing all takes a second."""
        width = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        rows = [(name, self._short_help(ctx, name, width)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _short_help(self, ctx: click.Context, name: str, width: int) -> str:
        point = self._found.get(name)
        text = None if point is None else _documented(point)
        if text is None:
            command = self.get_command(ctx, name)
            return "" if command is None else command.get_short_help_str(width)
        return click.Command(name, help=text).get_short_help_str(width)


def _documented(point: EntryPoint) -> str | None:
    """The docstring of an entry point's function, read without importing its module.

    None where the command is made by a call, or its source is not installed.
    """
    try:
        spec = find_spec(point.module)
        if spec is None or spec.origin is None:
            return None
        source = spec.origin.partition(".cpython-")[0].removesuffix(".py") + ".py"
        with open(source, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (ImportError, OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == point.attr:
            return ast.get_docstring(node)
    return None


def _with_parts_of_others(name: str, command: click.Command) -> click.Command:
    """A group, with the commands that other packages add to it.

    `ringfence unrated list` uses the API; `ringfence unrated replay` belongs to rating.
    """
    if isinstance(command, click.Group):
        for part in entry_points(group=f"ringfence.commands.{name}"):
            command.add_command(part.load(), part.name)
    return command


main_group = _Commands(
    "ringfence.commands",
    name="ringfence",
    help="Near-real-time prepaid VoIP billing: operate it, look into it, check it.",
)
click.version_option(describe_version(), prog_name="ringfence")(main_group)
main_group.add_command(
    _Commands(
        "ringfence.vectors",
        name="vectors",
        help="Run conformance vectors (CSV) through the product's own functions.",
    )
)


def main() -> None:
    """Run the command line; a RingfenceError is shown without a traceback.

    Settings of `ringfence.toml` in this folder are added to the environment first.
    """
    try:
        if os.path.lexists("ringfence.toml"):
            from ringfence.settings_file import load_settings_file  # slow to import

            load_settings_file(Path(), os.environ)
        main_group(standalone_mode=True)
    except RingfenceError as error:
        click.echo(f"ringfence: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
