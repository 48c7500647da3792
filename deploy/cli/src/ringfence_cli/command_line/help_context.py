"""Gives commands of every package the same help pages, without a change of their code."""

import click


class HelpContext(click.Context):
    """A context whose command shows its help by `help_page`."""

    def get_help(self) -> str:
        """The help page of the command."""
        # Imported only for help: it would only slow down every other command.
        from ringfence_cli.command_line.help_page import help_page

        return help_page(self)


def with_help_pages(command: click.Command) -> click.Command:
    """The same command; it and all below it show their help by `help_page`."""
    command.context_class = HelpContext
    if isinstance(command, click.Group):
        for part in command.commands.values():
            with_help_pages(part)
    return command
