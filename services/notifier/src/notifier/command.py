"""`ringfence template check FILE`: what the service would say to a template, before it is used."""

from pathlib import Path

import click

from notifier.merge_fields import SAMPLE_ACCOUNT, SAMPLE_FUNDS, merge_values
from notifier.template import render, warnings
from notifier.template_files import TEMPLATE_NAMES, load_template


@click.group()
def template() -> None:
    """Check the templates of mails to clients."""


@template.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--html", "show_html", is_flag=True, help="Show the HTML part too.")
def check(file: Path, show_html: bool) -> None:
    """Refuse or accept FILE, warn of what will look odd, and show it with sample values."""
    accepted = load_template(file)
    if accepted.name not in TEMPLATE_NAMES:
        names = " or ".join(repr(name) for name in TEMPLATE_NAMES)
        click.echo(f"warning: the service looks for {names}, not {accepted.name!r}", err=True)
    for warning in warnings(accepted):
        click.echo(f"warning: {warning}", err=True)
    preview = render(accepted, merge_values(SAMPLE_ACCOUNT, SAMPLE_FUNDS))
    click.echo(f"{file}: accepted\n\nSubject: {preview.subject}\n\n{preview.text}", nl=False)
    if show_html:
        click.echo(f"\n{preview.html}", nl=False)
