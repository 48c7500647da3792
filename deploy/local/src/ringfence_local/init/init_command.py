"""`ringfence init`: writes files for a first FusionPBX, checks it, and proposes products."""

import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from shutil import get_terminal_size
from urllib.parse import urlsplit

import click
from pydantic import TypeAdapter, ValidationError

from ringfence.settings_file import NAME as SETTINGS_FILE
from ringfence_contracts.errors import RingfenceError
from ringfence_contracts.events.model import Id
from ringfence_contracts.expected import problem_words
from ringfence_pbx.fusionpbx.connection import MIN_KEY
from ringfence_pbx.servers import Servers, is_loopback, load_servers

_FORM = """\
# PBXs and providers; docs/servers.md explains every field.
[servers.{id}]
kind = "fusionpbx"
url = {url}
api_key = {{ file = {key} }}
{domains}
"""


_WIDTH = 80
_SETTINGS = """\
# Settings of the commands that are run in this folder. Each is a variable by another name:
# smtp_host in [notifier] is RINGFENCE_NOTIFIER_SMTP_HOST; a variable that is set wins.
# shared/README.md and the README of each service list them. It contains no secret.
servers_file = {servers}
"""

_MAIL = """
[notifier]
smtp_host = {host}
sender = {sender}
"""


@click.command()
@click.option(
    "--servers",
    "servers_file",
    type=click.Path(path_type=Path),
    default=Path("servers.toml"),
    show_default=True,
    help="The file to write; it must not exist.",
)
@click.option("--id", "server_id", default="pbx1", show_default=True,
              help="The PBX's name here. It never changes.")  # fmt: skip
@click.option("--url", help="Base URL, such as https://pbx.example.net")
@click.option("--host", help="The domain that the key's user, a superadmin, belongs to.")
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    help="Instead of --host: a domain to read, under its own name; may be repeated.",
)
@click.option(
    "--api-key-file",
    help="A file with the API key, which the servers file will name; -: the key comes from"
    " standard input and is written to secrets/ID-key.",
)
@click.option("--smtp-host", help="The mail server that takes mails to clients.")
@click.option("--sender", help="The address that these mails come from.")
@click.option(
    "--look/--no-look",
    default=True,
    show_default=True,
    help="Look over the PBX afterwards, and propose products for its tenants.",
)
@click.option(
    "--sign/--no-sign",
    default=None,
    help="Let the PBX's database sign its export of calls, by default settings of FusionPBX;"
    " left out: asked on a terminal.",
)
@click.pass_context
def init(
    context: click.Context,
    servers_file: Path,
    server_id: str,
    url: str | None,
    host: str | None,
    tenants: tuple[str, ...],
    api_key_file: str | None,
    smtp_host: str | None,
    sender: str | None,
    look: bool,
    sign: bool | None,
) -> None:
    """Write the files for a first FusionPBX: servers.toml, its API key, and ringfence.toml.

    On a terminal it asks for what is not given; elsewhere it names what is missing and ends.
    No file is written over. The key is shown nowhere. Then the PBX is looked over as by
    `ringfence doctor`, and products for its tenants are written to products-ID.sh, to be looked
    over and entered when `ringfence up` runs. With your consent, the PBX's database is made to
    sign its calls, so that no tenant can write one into a text. Exit 1 where a check fails; the
    files are written all the same.

    Example: ringfence init --url https://pbx.example.net --host voip.example.net
    """
    _check_id(server_id)
    folder = servers_file.absolute().parent
    secret, settings = folder / "secrets" / f"{server_id}-key", folder / SETTINGS_FILE
    products = folder / f"products-{server_id}.sh"
    _refuse_existing(servers_file, products, *(() if _is_file(api_key_file) else (secret,)))
    if host and tenants:
        raise click.UsageError("give --host (all tenants) or --tenant, not both")
    _refuse_missing(url=url, host=host or tenants, api_key_file=api_key_file)
    url = (url or click.prompt("URL of the FusionPBX, such as https://pbx.example.net")).rstrip("/")
    if not (host or tenants):
        host = click.prompt("Domain that the key's user, a superadmin, belongs to").strip()
    key, written = _key(api_key_file, secret)
    text = _FORM.format(
        id=_quoted(server_id),
        url=_quoted(url),
        key=_quoted(str(written)),
        domains=f"tenants = {_quoted(list(tenants))}" if tenants
        else f"host = {_quoted(host)}\nall_tenants = true",
    )  # fmt: skip
    _check(text)
    files = {servers_file: text}
    if os.path.lexists(settings):
        click.echo(f"kept {settings}: see that servers_file in it is {servers_file.name}")
    else:
        mail = _mail(smtp_host, sender, host or tenants[0], asks=api_key_file != "-")
        files[settings] = _SETTINGS.format(servers=_quoted(servers_file.name)) + mail
    _write(files, {} if _is_file(api_key_file) else {secret: key})
    _print_login_hint(url)
    well = not look or _check_and_propose(context, servers_file, server_id, products)
    asks = api_key_file != "-"
    signed = well and look and _offer_signing(servers_file, server_id, sign, asks)
    _print_next_steps(folder, server_id, products, look=look, well=well, signed=signed)
    if not well:
        raise SystemExit(1)


def _check_id(server_id: str) -> None:
    try:
        TypeAdapter(Id).validate_python(server_id)
    except ValidationError:
        raise click.UsageError(
            f"--id: {server_id!r} must be letters, digits, '.', '_' and '-', the first one a"
            " letter or a digit"
        ) from None


def _is_file(api_key_file: str | None) -> bool:
    """Whether the key is already in a file, which is used as it is."""
    return api_key_file not in (None, "-")


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise click.ClickException(
                f"{path} exists and is left as it is. Name another file (--servers) or PBX (--id),"
                " or add the PBX to your servers file by hand: docs/servers.md"
            )


def _refuse_missing(**given: object) -> None:
    """Raises UsageError for missing values that cannot be asked for at a terminal.

    There is no terminal to ask at either if the key comes from standard input.
    """
    missing = [f"--{name.replace('_', '-')}" for name, value in given.items() if not value]
    if missing and (given["api_key_file"] == "-" or not sys.stdin.isatty()):
        raise click.UsageError(f"give {', '.join(missing)}: there is no terminal to ask at")


def _key(api_key_file: str | None, secret: Path) -> tuple[str, Path]:
    """The key, and the file that the servers file will name for it. Nothing is written yet."""
    if api_key_file is None:
        key, place = str(click.prompt("API key of that user", hide_input=True)), secret
    elif api_key_file == "-":
        key, place = sys.stdin.read(), secret
    else:
        place = Path(api_key_file).absolute()
        try:
            key = place.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = f"{place} cannot be read ({type(error).__name__})"
            raise click.UsageError(f"--api-key-file: {reason}") from None
    key = key.strip()
    if len(key) < MIN_KEY or not key.isprintable() or " " in key:
        raise click.UsageError(
            f"the API key has {len(key)} characters: FusionPBX needs one word of at least"
            f" {MIN_KEY}. Copy it from the user's page in FusionPBX."
        )
    return key, place


def _mail(smtp_host: str | None, sender: str | None, domain: str, *, asks: bool) -> str:
    """The mail section of the settings; empty if no mail server is given."""
    if asks and sys.stdin.isatty():
        smtp_host = smtp_host or click.prompt("Mail server for mails to clients", "127.0.0.1")
        sender = sender or click.prompt("Sender of these mails", f"billing@{domain}")
    if bool(smtp_host) != bool(sender):
        raise click.UsageError("--smtp-host and --sender go together")
    return _MAIL.format(host=_quoted(smtp_host), sender=_quoted(sender)) if smtp_host else ""


def _quoted(value: object) -> str:
    """A string or list of strings in TOML, which has the same escapes as JSON."""
    return json.dumps(value, ensure_ascii=False)


def _check(text: str) -> None:
    """Raises UsageError for a servers file that the services would reject."""
    try:
        Servers.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        raise click.UsageError("a value has a character that no servers file can hold") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise click.UsageError(f"{where}: {problem_words(first)}") from None


def _write(files: Mapping[Path, str], secrets: Mapping[Path, str]) -> None:
    """Write all files, or none: after a failure those already written are removed."""
    done: list[Path] = []
    try:
        for path, key in secrets.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, f"{key}\n", 0o600)
            done.append(path)
        for path, text in files.items():
            _write_new(path, text, 0o644)
            done.append(path)
    except OSError as error:
        for path in done:
            path.unlink()
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    for path in done:
        click.echo(f"wrote {path}")


def _write_new(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def _print_login_hint(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        click.echo(f"{url} is not encrypted: the key can be read on its way. Use https.", err=True)
    click.echo(
        "\nLog in to FusionPBX once by password as the user of the key, if that was never\n"
        "done: the first login by key spoils a password that the installer wrote\n"
        "(docs/servers.md)."
    )


def _check_and_propose(
    context: click.Context, servers_file: Path, server_id: str, products: Path
) -> bool:
    """Run the doctor on the PBX, and write proposed products; returns whether both succeeded."""
    click.echo()
    with _temporary_environment(RINGFENCE_SERVERS_FILE=str(servers_file), COLUMNS=_columns()):
        well = _examine(context, server_id)
    click.echo()
    if not well:  # further logins with a wrong key could make the PBX lock us out
        click.echo(f"What {server_id} has is not listed while a check fails.")
        return False
    return _propose(load_servers(servers_file), server_id, products)


def _offer_signing(servers_file: Path, server_id: str, sign: bool | None, asks: bool) -> bool:
    """Sign the export if the operator consents; whether it is signed.

    A refusal of the PBX ends nothing: rows are confirmed one by one instead.
    """
    from ringfence_local.init.sign_export import WHY, enter_signing  # slow to import

    if sign is None and asks and sys.stdin.isatty():
        click.echo(f"\n{WHY}")
        sign = click.confirm("Enter the default settings for it in FusionPBX now?", default=True)
    if not sign:
        return False
    try:
        enter_signing(servers_file, server_id)
    except RingfenceError as error:
        click.echo(f"The export is not signed: {error}", err=True)
        return False
    return True


def _examine(context: click.Context, server_id: str) -> bool:
    from ringfence_cli.main import main_group  # imported here: it imports this module

    doctor = main_group.get_command(context, "doctor")
    assert doctor is not None, "the command is installed wherever this package is"
    try:
        context.invoke(doctor, only=server_id, here=True, as_json=False)
    except SystemExit as end:
        return not end.code
    return True


def _propose(servers: Servers, server_id: str, products: Path) -> bool:
    from ringfence_local.init.first_look import NotListed, look  # slow to import

    try:
        found = look(servers, server_id)
    except NotListed as error:
        click.echo(f"What {server_id} has could not be listed: {error}")
        return False
    for line in found.lines():
        click.echo(line)
    if found.proposals:
        _write_new(products, found.commands(), 0o644)
        click.echo(f"wrote {products}: {len(found.proposals)} products, as commands")
    return True


@contextmanager
def _temporary_environment(**variables: str) -> Iterator[None]:
    """Set these environment variables for the duration of the context."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _columns() -> str:
    """The terminal's width, at most 80; 80 if there is no terminal."""
    return str(min(_WIDTH, get_terminal_size((_WIDTH, 24)).columns))


def _print_next_steps(
    folder: Path, server_id: str, products: Path, *, look: bool, well: bool, signed: bool
) -> None:
    lines: list[tuple[str, str]] = []
    if folder != Path.cwd():
        lines.append((f"cd {quote(str(folder))}", ""))
    if not (look and well):
        lines.append((f"ringfence doctor --here --server {server_id}", "until no check fails"))
    if not signed:
        signing = f"ringfence server sign-export {server_id}"
        lines.append((signing, "where tenants administer themselves"))
    lines.append(("ringfence up", "Kafka, PostgreSQL, the services; in shadow"))
    if products.exists():
        lines.append(("ringfence client set --help", "in another terminal: your clients"))
        lines.append((f"editor {quote(products.name)}", "put clients and packages in"))
        lines.append((f"sh {quote(products.name)}", ""))
    else:
        propose = f"ringfence server propose {server_id}"
        lines.append((propose, "in another terminal: products for its tenants"))
    click.echo("\nNext:")
    for command, meaning in lines:
        click.echo(f"  {command:<32} {meaning}".rstrip())
