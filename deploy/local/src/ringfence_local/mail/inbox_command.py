"""`ringfence inbox`: shows the mails that the local SMTP server accepted."""

from email.message import EmailMessage
from pathlib import Path

import click

from ringfence_contracts.errors import BadInput
from ringfence_local.mail.inbox import read_mails
from ringfence_local.state import FOLDER

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER / "inbox",
    show_default=True,
    help="where the mails are kept",
)


@click.group()
def inbox() -> None:
    """Read the mails that were sent on this machine."""


@inbox.command("list")
@_folder
def list_mails(folder: Path) -> None:
    """One line for each mail, the oldest first."""
    for number, mail in enumerate(read_mails(folder), start=1):
        click.echo(f"{number:5}  {mail['Date'] or '-'}  {mail['To'] or '-'}  {mail['Subject']}")


@inbox.command("show")
@click.argument("number", type=int, required=False)
@_folder
def show_mail(number: int | None, folder: Path) -> None:
    """Headers and text of the mail with this NUMBER in the list; of the newest without one."""
    mails = read_mails(folder)
    wanted = len(mails) if number is None else number
    if not 1 <= wanted <= len(mails):
        raise BadInput("mail number", wanted, f"1 to {len(mails)}, as `ringfence inbox list` shows")
    mail = mails[wanted - 1]
    for name, value in mail.items():
        click.echo(f"{name}: {value}")
    click.echo(f"\n{_text(mail)}")


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain", "html"))
    content: str = part.get_content() if part is not None else ""
    return content
