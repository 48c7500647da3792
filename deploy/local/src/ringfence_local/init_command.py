"""`ringfence init`: the servers file of a first FusionPBX, and the file of its key."""

import json
import os
import sys
import tomllib
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

import click
from pydantic import TypeAdapter, ValidationError

from ringfence.events.model import Id
from ringfence.pbx.fusionpbx_connection import MIN_KEY
from ringfence.pbx.servers import Servers, is_loopback

_FORM = """\
# PBXs and providers; docs/servers.md explains every field.
[servers.{id}]
kind = "fusionpbx"
url = {url}
api_key = {{ file = {key} }}
{domains}
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
def init(
    servers_file: Path,
    server_id: str,
    url: str | None,
    host: str | None,
    tenants: tuple[str, ...],
    api_key_file: str | None,
) -> None:
    """Write a servers file for a FusionPBX, and the file of its API key.

    On a terminal it asks for what is not given; elsewhere it names what is missing and ends.
    No file is written over. The key is shown nowhere.

    Example: ringfence init --url https://pbx.example.net --host voip.example.net
    """
    _check_id(server_id)
    secret = servers_file.absolute().parent / "secrets" / f"{server_id}-key"
    _refuse_existing(servers_file, *(() if _is_file(api_key_file) else (secret,)))
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
    _write(servers_file, text, {} if _is_file(api_key_file) else {secret: key})
    _say_next(servers_file, server_id, url)


def _check_id(server_id: str) -> None:
    try:
        TypeAdapter(Id).validate_python(server_id)
    except ValidationError:
        raise click.UsageError(
            f"--id: {server_id!r} must be letters, digits, '.', '_' and '-', the first one a"
            " letter or a digit"
        ) from None


def _is_file(api_key_file: str | None) -> bool:
    """Whether the key is in a file already, which stays where it is."""
    return api_key_file not in (None, "-")


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise click.ClickException(
                f"{path} exists and is left as it is. Name another file (--servers) or PBX (--id),"
                " or add the PBX to your servers file by hand: docs/servers.md"
            )


def _refuse_missing(**given: object) -> None:
    """Without a terminal there is nobody to ask. A key on standard input leaves nobody either."""
    missing = [f"--{name.replace('_', '-')}" for name, value in given.items() if not value]
    if missing and (given["api_key_file"] == "-" or not sys.stdin.isatty()):
        raise click.UsageError(f"give {', '.join(missing)}: there is no terminal to ask at")


def _key(api_key_file: str | None, secret: Path) -> tuple[str, Path]:
    """The key, and the file that is to be named for it. Neither is written yet."""
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


def _quoted(value: object) -> str:
    """A string, or a list of them, as TOML: its escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False)


def _check(text: str) -> None:
    """Refuse what the services would refuse, before anything is written."""
    try:
        Servers.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        raise click.UsageError("a value has a character that no servers file can hold") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise click.UsageError(f"{where}: {first['msg']}") from None


def _write(servers_file: Path, text: str, secrets: dict[Path, str]) -> None:
    """Write all, or nothing that would lie about alone."""
    done: list[Path] = []
    try:
        for path, key in secrets.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, f"{key}\n", 0o600)
            done.append(path)
        _write_new(servers_file, text, 0o644)
        done.append(servers_file)
    except OSError as error:
        for path in done:
            path.unlink()
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    for path in done:
        click.echo(f"wrote {path}")


def _write_new(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def _say_next(servers_file: Path, server_id: str, url: str) -> None:
    parts, file = urlsplit(url), quote(str(servers_file))
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        click.echo(f"{url} is not encrypted: the key can be read on its way. Use https.", err=True)
    click.echo(
        "Log in to FusionPBX once by password as the user of the key, if that was never done:\n"
        "the first login by key spoils a password that the installer wrote (docs/servers.md).\n"
        "Then:\n"
        f"  RINGFENCE_SERVERS_FILE={file} ringfence doctor --server {server_id}\n"
        f"  ringfence up --servers {file}"
    )
