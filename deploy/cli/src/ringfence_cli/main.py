"""The `ringfence` command. Each installed package brings its own commands by an entry point.

So `ringfence vectors rating` runs functions of the rating service although no service imports
another. A package that is not installed has no commands here.
"""

import os
import sys
from pathlib import Path

import click

from ringfence.console.output import wrapped
from ringfence.version import describe_version
from ringfence_cli.command_line.lazy_group import COMPLETION_VARIABLE, LazyGroup
from ringfence_contracts.errors import RingfenceError

main_group = LazyGroup(
    "ringfence.commands",
    name="ringfence",
    help="Near-real-time prepaid VoIP billing: operate it, look into it, check it.",
    epilog="`ringfence COMMAND --help` explains a command, with its options.\n\n"
    'TAB completes commands in bash after: eval "$(ringfence completion bash)"',
)
click.version_option(describe_version(), prog_name="ringfence")(main_group)
main_group.add_command(
    LazyGroup(
        "ringfence.vectors",
        name="vectors",
        help="Run conformance vectors (CSV) through the product's own functions.",
    )
)


def main() -> None:
    """Run the command line; a RingfenceError is shown without a traceback.

    Settings of `ringfence.toml` in this folder are added to the environment first, unless a shell
    asks for completions: these depend on no setting, and an error would be written into its line.
    """
    try:
        if COMPLETION_VARIABLE not in os.environ and os.path.lexists("ringfence.toml"):
            from ringfence.settings_file import load_settings_file  # slow to import

            load_settings_file(Path(), os.environ)
        main_group(standalone_mode=True)
    except RingfenceError as error:
        click.echo(wrapped(f"ringfence: {error}", sys.stderr), err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
