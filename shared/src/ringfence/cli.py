"""The `ringfence` command. Each installed package brings its own commands by an entry point.

So `ringfence vectors rating` runs the rating service's own functions, and yet no service imports
another: whoever is not installed has no commands here.
"""

from importlib.metadata import EntryPoint, entry_points

import click

from ringfence.errors import RingfenceError


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


def _with_parts_of_others(name: str, command: click.Command) -> click.Command:
    """A group, with the commands that other packages add to it.

    `ringfence unrated list` asks the front door, `ringfence unrated replay` is rating's own.
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
main_group.add_command(
    _Commands(
        "ringfence.vectors",
        name="vectors",
        help="Run conformance vectors (CSV) through the product's own functions.",
    )
)


def main() -> None:
    """Run the command line; errors meant for people are shown without a traceback."""
    try:
        main_group(standalone_mode=True)
    except RingfenceError as error:
        click.echo(f"ringfence: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
