"""A group of commands that packages bring by entry points, each loaded when it is used."""

import ast
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from ringfence_cli.command_line.described_group import DescribedGroup
from ringfence_cli.command_line.help_context import HelpContext, with_help_pages
from ringfence_cli.command_line.usage_errors import usage_errors_wrapped

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETION_VARIABLE = "_RINGFENCE_COMPLETE"
"""A shell sets it when it asks for completions; click makes its name from the program's."""


class LazyGroup(DescribedGroup):
    """Loads a command's package only when the command is used.

    Help and completion read the docstrings from the sources: importing all takes a second.
    """

    context_class = HelpContext

    def __init__(self, entry_point_group: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._found: dict[str, EntryPoint] = {
            point.name: point for point in _entry_points(entry_point_group)
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *self._found})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, loaded; None if there is none."""
        if cmd_name in self._found:
            loaded: click.Command = self._found[cmd_name].load()
            return with_help_pages(_with_parts_of_others(cmd_name, loaded))
        return super().get_command(ctx, cmd_name)

    def described(self, ctx: click.Context) -> dict[str, str]:
        """The help text of each command, by name; almost none of them is loaded for it."""
        return {name: self._help_text(ctx, name) for name in self.list_commands(ctx)}

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        """The commands and options that begin with `incomplete`."""
        from click.shell_completion import CompletionItem  # only a shell asks for it

        commands = [
            CompletionItem(name, help=text.partition("\n\n")[0].replace("\n", " "))
            for name, text in self.described(ctx).items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of these arguments. Usage errors are wrapped, with a suggestion."""
        with usage_errors_wrapped():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Usage errors are wrapped, with a suggestion."""
        with usage_errors_wrapped():
            return super().invoke(ctx)

    def _help_text(self, ctx: click.Context, name: str) -> str:
        point = self._found.get(name)
        text = None if point is None else _documented(point)
        if text is not None:
            return text
        try:
            command = self.get_command(ctx, name)
        except ImportError as error:  # of one package: the others' commands can still be used
            return f"Cannot be used: {error}."
        return "" if command is None else command.help or ""


@cache
def _entry_points(group: str) -> EntryPoints:
    """The entry points of a group: to find them reads a file of every installed package."""
    return entry_points(group=group)


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
        for part in _entry_points(f"ringfence.commands.{name}"):
            command.add_command(part.load(), part.name)
    return command
