"""`ringfence template`: check, preview and send test copies of the mails to clients."""

import asyncio
import sys
import tempfile
import webbrowser
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from notifier.form.mail import MailFacts, RenderedMail, render
from notifier.form.send_now import send_now
from notifier.form.settings import FormSettings
from notifier.form.store_preview import find_client
from notifier.merge_fields import (
    SAMPLE_ACCOUNT,
    SAMPLE_FUNDS,
    ClientAccount,
    ClientFunds,
    MailContext,
    merge_values,
)
from notifier.sending.mime import Mail
from notifier.settings import Settings
from notifier.template import Template, warnings
from notifier.template import render as render_template
from notifier.template_files import load_template
from notifier.words.catalogue import TEMPLATE_NAMES, Catalogue
from ringfence.console.output import json_option, print_json, wrapped
from ringfence.mail.address import check_mail_address
from ringfence.postgres.pool import open_pool
from ringfence.settings import read_settings
from ringfence.stack_file import database_dsn
from ringfence_contracts.errors import BadInput
from ringfence_contracts.ids import derive

_client = click.option("--client", "account_id", help="A client's id; none: sample values.")
_template = click.option(
    "--template",
    "name",
    type=click.Choice(TEMPLATE_NAMES, case_sensitive=False),
    multiple=True,
    help="Which mail; may be given more than once. Default: all.",
)
_language = click.option("--language", help="A language such as fr; none: the client's own.")
_not_off = click.option(
    "--not-off", is_flag=True, help="As it reads while the PBX has not switched the service off."
)


@click.group()
def template() -> None:
    """Check, preview and send to yourself the mails to clients.

    \b
    Examples: ringfence template check
              ringfence template check "Low Balance Alert.tpl"
              ringfence template preview --client acme-1001 --open
              ringfence template send --to me@example.com --language fr
    """


@template.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--html", "show_html", is_flag=True, help="Show the HTML part too.")
@json_option
def check(file: Path | None, show_html: bool, as_json: bool) -> None:
    """Refuse or accept FILE, warn of what will read wrong, and show it with sample values.

    Without FILE, check all templates and languages that the service would load.
    """
    if file is None:
        _check_all(_settings().catalogue(), as_json=as_json)
        return
    accepted = load_template(file)
    if accepted.name not in TEMPLATE_NAMES:
        names = ", ".join(repr(name) for name in TEMPLATE_NAMES)
        _note(f"warning: the service looks for {names}, not {accepted.name!r}")
    if not as_json:
        _warn(accepted)
    general = MailContext(signature="The company", at=datetime.now(UTC))
    preview = render_template(accepted, merge_values(SAMPLE_ACCOUNT, SAMPLE_FUNDS, general))
    if as_json:
        parts = {"subject": preview.subject, "text": preview.text, "html": preview.html}
        print_json({"template": accepted.name, "warnings": list(warnings(accepted)), **parts})
        return
    click.echo(f"{file}: accepted\n\nSubject: {preview.subject}\n\n{preview.text}", nl=False)
    if show_html:
        click.echo(f"\n{preview.html}", nl=False)


def _check_all(catalogue: Catalogue, *, as_json: bool) -> None:
    checked = []
    for code in sorted(catalogue.languages):
        for name in TEMPLATE_NAMES:
            accepted = catalogue.template(name, code)
            origin = "own" if (code, name) in catalogue.own else "packaged"
            facts = {"language": code, "template": name, "origin": origin}
            checked.append({**facts, "warnings": list(warnings(accepted))})
            if not as_json:
                click.echo(f"{code}: {name}: accepted ({origin})")
                _warn(accepted)
    if as_json:
        print_json(checked)


def _warn(accepted: Template) -> None:
    for warning in warnings(accepted):
        _note(f"warning: {accepted.name}: {warning}")


def _note(text: str) -> None:
    """Print a text for a person, to standard error."""
    click.echo(wrapped(text, sys.stderr), err=True)


@template.command()
@_client
@_template
@_language
@_not_off
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the HTML files; none: a new temporary one.",
)
@click.option("--open", "open_wanted", is_flag=True, help="Open the HTML part in a browser.")
@json_option
def preview(
    account_id: str | None,
    name: tuple[str, ...],
    language: str | None,
    not_off: bool,
    out: Path | None,
    open_wanted: bool,
    as_json: bool,
) -> None:
    """Show the mails as a client would get them now: the plain part here, the HTML part in a file.

    Nothing is sent.
    """
    folder = out or Path(tempfile.mkdtemp(prefix="ringfence-mails-"))
    folder.mkdir(parents=True, exist_ok=True)
    previews = []
    for shown, mail in _mails(_settings(), account_id, name, language, not_off):
        path = folder / f"{shown.lower().replace(' ', '-')}.html"
        path.write_text(mail.html, encoding="utf-8")
        parts = {"subject": mail.subject, "headers": dict(mail.headers), "text": mail.text}
        previews.append({"template": shown, **parts, "html_file": str(path)})
        if not as_json:
            _show_mail(shown, mail, path)
        if open_wanted:
            webbrowser.open(path.resolve().as_uri())
    if as_json:
        print_json(previews)


def _show_mail(name: str, mail: RenderedMail, path: Path) -> None:
    click.echo(f"=== {name}\nSubject: {mail.subject}")
    for header, value in mail.headers.items():
        click.echo(f"{header}: {value}")
    click.echo(f"\n{wrapped(mail.text, sys.stdout, indent='')}\nHTML: {path}\n")


@template.command()
@click.option("--to", "recipient", required=True, help="Your own address.")
@_client
@_template
@_language
@_not_off
@json_option
def send(
    recipient: str,
    account_id: str | None,
    name: tuple[str, ...],
    language: str | None,
    not_off: bool,
    as_json: bool,
) -> None:
    """Send the mails to yourself, by the SMTP server that is set; no client gets anything.

    The subject begins with [test], nothing is recorded, and no copies go out.
    """
    to = check_mail_address(recipient, "--to")
    settings, now = read_settings(Settings), datetime.now(UTC)
    sent = []
    for shown, rendered in _mails(settings, account_id, name, language, not_off):
        content = replace(rendered, subject=f"[test] {rendered.subject}", cc=())
        message_id = derive("test mail", shown, to, now.isoformat())
        answer = asyncio.run(send_now(settings, Mail(message_id, to, content, now)))
        sent.append({"template": shown, "to": to, "answer": answer})
        if not as_json:
            click.echo(f"{shown}: sent to {to} ({answer})")
    if as_json:
        print_json(sent)


def _settings() -> FormSettings:
    return read_settings(FormSettings)


def _mails(
    settings: FormSettings,
    account_id: str | None,
    names: tuple[str, ...],
    language: str | None,
    not_off: bool,
) -> list[tuple[str, RenderedMail]]:
    catalogue, layout = settings.catalogue(), settings.layout().for_samples()
    if language and catalogue.language(language).code not in (language, language[:2].lower()):
        raise BadInput("--language", language, f"one of {', '.join(sorted(catalogue.languages))}")
    account, funds = _client_of(account_id)
    account = replace(account, language=language or account.language)
    return [
        (
            name,
            render(
                MailFacts(name, account, funds, datetime.now(UTC), service_is_off=not not_off),
                catalogue,
                layout,
            ),
        )
        for name in names or TEMPLATE_NAMES
    ]


def _client_of(account_id: str | None) -> tuple[ClientAccount, ClientFunds]:
    return asyncio.run(_read(account_id)) if account_id else (SAMPLE_ACCOUNT, SAMPLE_FUNDS)


async def _read(account_id: str) -> tuple[ClientAccount, ClientFunds]:
    pool = await open_pool(database_dsn(), service="notifier", size=1)
    try:
        return await find_client(pool, account_id)
    finally:
        await pool.close()
