"""The help page of a command, drawn by rich-click: plain in a pipe, with colours on a terminal.

It says what click's own page says. Commands are in sections, and no text is shortened.
"""

import inspect
import os
import sys
import textwrap
from typing import Any

import click
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich_click import RichCommand, RichContext, RichGroup, RichHelpConfiguration
from rich_click.rich_help_formatter import RichHelpFormatter
from rich_click.rich_panel import RichCommandPanel, RichOptionPanel

from ringfence_cli.command_line.described_group import DescribedGroup
from ringfence_cli.command_line.sections import sections_of

_WIDEST = 100
_INDENT = 2
_NAMES = 29
"""Of an option and what it takes; more is wrapped, so that the help beside it has room."""


class _OptionPanel(RichOptionPanel):
    """Options in two columns, in click's own words."""

    def get_table(
        self, command: RichCommand, ctx: RichContext, formatter: RichHelpFormatter
    ) -> Table:
        table = _two_columns(max_width=_NAMES)
        for parameter in self.get_objects(command, ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                table.add_row(_names(record[0]), formatter.highlighter(Text(record[1])))
        return table


class _CommandPanel(RichCommandPanel):
    """Commands in two columns, each with the whole first paragraph of its help."""

    def get_table(
        self, command: RichCommand, ctx: RichContext, formatter: RichHelpFormatter
    ) -> Table:
        table = _two_columns(min_width=max(map(len, _names_of_all(command, ctx))))
        for part in self.get_objects(command, ctx):
            paragraph = (part.short_help or part.help or "").partition("\n\n")[0]
            text = formatter.highlighter(Text(" ".join(paragraph.split())))
            table.add_row(Text(part.name or "", style="command"), text)
        return table


class _Formatter(RichHelpFormatter):
    option_panel_class = _OptionPanel
    command_panel_class = _CommandPanel


class _Context(RichContext):
    formatter_class = _Formatter


class _CommandPage(RichCommand):
    """A command whose help is drawn whole, with its paragraphs apart."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_help_text(self, formatter)


class _GroupPage(RichGroup):
    """The same of a group."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_help_text(self, formatter)


def help_page(ctx: click.Context) -> str:
    """The help of a context's command, in lines of at most the terminal's width."""
    twin = _twin(ctx)
    drawn = _Context(
        twin,
        info_name=ctx.info_name,
        parent=ctx.parent,
        terminal_width=ctx.terminal_width,
        max_content_width=ctx.max_content_width or _WIDEST,
        help_option_names=ctx.help_option_names,
        rich_help_config=_configuration(),
    )
    return "\n".join(line.rstrip() for line in twin.get_help(drawn).splitlines()).rstrip("\n")


def _twin(ctx: click.Context) -> RichCommand:
    """A command that rich-click can draw, with the words of the context's command."""
    command = ctx.command
    settings: dict[str, Any] = {
        "name": command.name,
        "params": command.params,
        "help": command.help,
        "epilog": command.epilog,
        "options_metavar": command.options_metavar,
        "add_help_option": command.add_help_option,
        "deprecated": command.deprecated,
    }
    if not isinstance(command, click.Group):
        return _CommandPage(**settings)
    group = _GroupPage(
        **settings,
        commands=_parts(ctx, command),
        subcommand_metavar=command.subcommand_metavar,
        invoke_without_command=command.invoke_without_command,
    )
    if isinstance(command, DescribedGroup) and ctx.parent is None:
        for title, names in sections_of(group.commands).items():
            group.add_panel(_CommandPanel(title, commands=names))
    return group


def _parts(ctx: click.Context, group: click.Group) -> dict[str, click.Command]:
    if isinstance(group, DescribedGroup):
        texts = group.described(ctx)
        return {name: click.Command(name, help=text) for name, text in texts.items()}
    found = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    return {
        name: click.Command(name, help=part.help, short_help=part.short_help, hidden=part.hidden)
        for name, part in found.items()
        if part is not None
    }


def _configuration() -> RichHelpConfiguration:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return RichHelpConfiguration(
        theme="default-slim",
        enable_theme_env_var=False,
        width=None,
        max_width=None,
        force_terminal=coloured,
        color_system="auto" if coloured else None,
        text_markup=None,
        text_emojis=False,
        style_options_panel_border="",
        style_commands_panel_border="",
        style_options_panel_title_style="bold",
        style_commands_panel_title_style="bold",
    )


def _two_columns(*, min_width: int | None = None, max_width: int | None = None) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", min_width=min_width, max_width=max_width)
    table.add_column(overflow="fold")
    return table


def _names_of_all(command: RichCommand, ctx: RichContext) -> list[str]:
    return command.list_commands(ctx) if isinstance(command, click.Group) else [""]


def _names(record: str) -> Text:
    """`--kind [added|removed]`, with the choices on lines of their own if they are long."""
    names, space, takes = record.partition(" ")
    if len(record) <= _NAMES or "|" not in takes:
        return Text.assemble((names, "option"), space, (takes, "metavar"))
    # Rich wraps only between words, and a word is cut at the width.
    lines = textwrap.wrap(
        takes.replace("|", "| "), _NAMES - _INDENT, initial_indent="  ", subsequent_indent="   "
    )
    below = "\n".join(line.replace("| ", "|") for line in lines)
    return Text.assemble((names, "option"), "\n", (below, "metavar"))


def _write_help_text(command: click.Command, formatter: click.HelpFormatter) -> None:
    if command.help and isinstance(formatter, RichHelpFormatter):
        formatter.write(Padding(Text(_help_text(command)), (0, 0, 1, _INDENT)))


def _help_text(command: click.Command) -> str:
    """The help, each paragraph on one line; paragraphs after `\\b` keep their lines."""
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    paragraphs = [
        each.removeprefix("\b\n") if each.startswith("\b") else " ".join(each.split())
        for each in text.strip("\n").split("\n\n")
    ]
    return "\n\n".join(paragraphs)
