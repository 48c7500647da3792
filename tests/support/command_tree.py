"""Every command of `ringfence`, from the tree that the entry points of the packages form."""

from collections.abc import Iterator

import click

from ringfence_cli.main import main_group


def tree(command: click.Command = main_group, *path: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The path of a command and of all below it (`("client", "list")`), and whether it is a group.

    The root's path is empty.
    """
    yield path, isinstance(command, click.Group)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from tree(found, *path, name)


def commands() -> list[tuple[str, ...]]:
    """The paths of everything that can be run: commands, and groups with an action of their own."""
    return [path for path, is_group in tree() if not is_group or _runs_alone(path)]


def command_at(path: tuple[str, ...]) -> click.Command:
    """The command at a path; the root at the empty one."""
    command: click.Command = main_group
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    return command


def _runs_alone(path: tuple[str, ...]) -> bool:
    command = command_at(path)
    return isinstance(command, click.Group) and command.invoke_without_command
