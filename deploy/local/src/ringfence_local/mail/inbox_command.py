"""`ringfence inbox`: shows the mails that the local SMTP server accepted."""

import sys
from email.message import EmailMessage
from pathlib import Path

import click

from ringfence.console.output import json_option, print_json, wrapped
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
@json_option
def list_mails(folder: Path, as_json: bool) -> None:
    """One entry for each mail, the oldest first."""
    mails = read_mails(folder)
    if as_json:
        print_json([_facts(number, mail) for number, mail in enumerate(mails, start=1)])
        return
    for number, mail in enumerate(mails, start=1):
        click.echo(f"{number:5}  {mail['Date'] or '-'}  {mail['To'] or '-'}")
        click.echo(f"       {mail['Subject']}")


@inbox.command("show")
@click.argument("number", type=int, required=False)
@_folder
@json_option
def show_mail(number: int | None, folder: Path, as_json: bool) -> None:
    """Headers and text of the mail with this NUMBER in the list; of the newest without one."""
    mails = read_mails(folder)
    wanted = len(mails) if number is None else number
    if not 1 <= wanted <= len(mails):
        raise BadInput("mail number", wanted, f"1 to {len(mails)}, as `ringfence inbox list` shows")
    mail = mails[wanted - 1]
    if as_json:
        headers = {name: str(value) for name, value in mail.items()}
        print_json({"number": wanted, "headers": headers, "text": _text(mail)})
        return
    for name, value in mail.items():
        click.echo(wrapped(f"{name}: {value}", sys.stdout))
    click.echo(f"\n{wrapped(_text(mail), sys.stdout, indent='')}")


def _facts(number: int, mail: EmailMessage) -> dict[str, object]:
    names = ("Date", "To", "Subject")
    return {"number": number, **{name.lower(): mail[name] and str(mail[name]) for name in names}}


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain", "html"))
    content: str = part.get_content() if part is not None else ""
    return content
