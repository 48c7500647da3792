"""A proposed product as the command that enters it, wrapped so that it can be copied."""

import re
import shlex
import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 78
_PLAIN = re.compile(r"[A-Za-z0-9 .,|_*+:@/-]*", re.ASCII)
_NAME = 50


def product_command(proposal: Mapping[str, Any]) -> str:
    """The lines of a `ringfence product set` command, after its notes as comments.

    A list that is longer than a line continues on the next line, inside its quotes.
    """
    lines = [f"# {line}" for note in proposal["notes"] for line in textwrap.wrap(note, WIDTH - 2)]
    options = [
        f"ringfence product set ACCOUNT {proposal['product']}",
        f"--kind {proposal['kind']} --server {proposal['server_id']} --package PACKAGE",
    ]
    name = proposal["name"]
    if name and name != proposal["tenant"]:
        options.append(f"--name {shlex.quote(_one_line(name))}")
    options += [f"--field {_field(*each)}" for each in proposal["fields"].items()]
    return "\n".join((*lines, " \\\n    ".join(options)))


def _one_line(name: str) -> str:
    shown = "".join(char for char in name if char.isprintable())
    return shown if len(shown) <= _NAME else f"{shown[: _NAME - 1]}…"


def _field(name: str, value: str) -> str:
    """`name="value"`; the shell removes a backslash at the end of a line."""
    if not _PLAIN.fullmatch(value):
        return shlex.quote(f"{name}={value}")
    folded = textwrap.wrap(
        f'    --field {name}="{value}"',
        WIDTH - 2,
        initial_indent="",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    text = " \\\n".join(folded).strip()
    return text.removeprefix("--field ")
