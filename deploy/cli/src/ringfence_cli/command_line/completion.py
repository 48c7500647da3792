"""`ringfence completion`: the script by which a shell completes commands and options with TAB."""

import click
from click.shell_completion import get_completion_class

from ringfence_cli.command_line.lazy_group import COMPLETION_VARIABLE

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes `ringfence` in SHELL with TAB.

    \b
    In this shell:  eval "$(ringfence completion bash)"
                    eval "$(ringfence completion zsh)"
                    ringfence completion fish | source
    In every shell: write the line into ~/.bashrc, ~/.zshrc or
                    ~/.config/fish/config.fish.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"completion in {shell} needs another version of click")
    click.echo(found(completion, {}, "ringfence", COMPLETION_VARIABLE).source())
