"""How errors of usage are printed: wrapped on a terminal, and with what may have been meant."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from ringfence.console.output import wrapped

_NO_COMMAND = re.compile(r"No such command '(.*)'\.")
_SUGGESTED = 3


class WrappedError(click.ClickException):
    """An error of click, printed in lines that fit the terminal."""

    def __init__(self, error: click.ClickException) -> None:
        message = error.format_message()
        context = error.ctx if isinstance(error, click.UsageError) else None
        super().__init__(message + _suggestion(message, context))
        self.exit_code = error.exit_code
        self._context = context

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the usage of the command, where its help is, and the error."""
        target = file or sys.stderr
        if self._context is not None:
            command = self._context.command_path
            click.echo(self._context.get_usage(), file=target)
            click.echo(f"Try '{command} --help' for help.\n", file=target)
        click.echo(wrapped(f"Error: {self.message}", target), file=target)


@contextmanager
def usage_errors_wrapped() -> Iterator[None]:
    """Raise click's errors as WrappedError; the help of a group is none, although click says so."""
    try:
        yield
    except (WrappedError, click.exceptions.NoArgsIsHelpError):
        raise
    except click.ClickException as error:
        raise WrappedError(error) from None


def _suggestion(message: str, context: click.Context | None) -> str:
    """` Did you mean 'client'?` if a command's name is mistyped; else empty."""
    found = _NO_COMMAND.fullmatch(message)
    if found is None or context is None or not isinstance(context.command, click.Group):
        return ""
    import difflib  # only after a mistake

    names = context.command.list_commands(context)
    near = difflib.get_close_matches(found[1], names, _SUGGESTED, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
