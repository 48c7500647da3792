"""The output of commands: JSON for machines, and lines that fit the terminal for people."""

import json
import os
import shutil
import textwrap
from typing import IO, Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def print_json(value: object) -> None:
    """Print a value as JSON; what JSON does not have, such as an instant, as its text."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def wrapped(text: str, target: IO[Any], *, indent: str = "    ") -> str:
    """A text for people, each line of it wrapped between words, what follows with an indent.

    It is left as it is where no width is known: in a pipe or a file, what is one line stays one.
    """
    if not (os.environ.get("COLUMNS") or target.isatty()):
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        for line in text.split("\n")
    )
