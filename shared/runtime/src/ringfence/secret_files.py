"""Secrets as files, written once and readable by their owner alone: `ringfence secrets`."""

import os
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Literal, get_args

import click

from ringfence.console.output import json_option, print_json
from ringfence.kafka.access.acls import CONSOLE, OPERATOR, SETUP

PASSWORD_FILE = "postgres-password"  # noqa: S105 - a file's name
KAFKA_PASSWORD_FILE = "kafka-password"  # noqa: S105 - a file's name
TOKENS_FILE = "tokens"
SERVICES = ("cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts")
"""The services that store something. The console stores nothing, so it has no login there."""

DATABASE_LOGINS = ("postgres", *SERVICES, OPERATOR)
"""`postgres` is the login that may change the schema, whatever its name in the database is."""

KAFKA_LOGINS = (*SERVICES, CONSOLE, OPERATOR, SETUP)
SecretKind = Literal["database", "api", "kafka"]


def ensure_secret(path: Path, prefix: str = "", owner: int | None = None) -> bool:
    """Write a random secret after `prefix` to a file unless it exists; returns whether it did.

    The mode is 0400. `owner` is a user id, to which the file is given if this process is root.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    if path.exists():
        return False
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(f"{prefix}{secrets.token_urlsafe(32)}\n")
        file.flush()
        os.fsync(file.fileno())
    if owner is not None and os.geteuid() == 0:
        os.chown(new, owner, owner)
    new.rename(path)
    return True


@click.group("secrets")
def secrets_command() -> None:
    """Create the secrets that services need, as files."""


@secrets_command.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="folder with a sub-folder for each service",
)
@click.option("--owner", type=int, help="user id that services run as; needs root")
@click.option("--pbx-key", multiple=True, metavar="NAME", help="also a random API key, pbx/NAME")
@click.option("--only", multiple=True, type=click.Choice(get_args(SecretKind)),
              help="this kind alone; may be repeated  [default: all]")  # fmt: skip
@json_option
def create(
    folder: Path,
    owner: int | None,
    pbx_key: tuple[str, ...],
    only: tuple[SecretKind, ...],
    as_json: bool,
) -> None:
    """Write each secret that is missing: passwords of database and Kafka, a token for the API.

    What exists is kept, so it is safe to repeat. Give each service its own sub-folder alone. No
    server knows these yet: `ringfence database logins` and `ringfence topics logins` tell them.

    Example: ringfence secrets create --folder /etc/ringfence/secrets
    """
    paths = _paths(folder, only or get_args(SecretKind))
    paths += [(folder / "pbx" / name, "") for name in pbx_key]
    written = [path for path, prefix in paths if ensure_secret(path, prefix, owner)]
    if as_json:
        kept = [path for path, _ in paths if path not in written]
        print_json({"written": list(map(str, written)), "kept": list(map(str, kept))})
        return
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"{len(written)} secrets written, {len(paths) - len(written)} kept")


def _paths(folder: Path, kinds: Collection[SecretKind]) -> list[tuple[Path, str]]:
    """The file of each secret of these kinds, and the prefix of the secret in it."""
    paths: list[tuple[Path, str]] = []
    if "database" in kinds:
        paths += [(folder / login / PASSWORD_FILE, "") for login in DATABASE_LOGINS]
    if "api" in kinds:
        paths.append((folder / "accounts" / TOKENS_FILE, "operator:"))
    if "kafka" in kinds:
        paths += [(folder / login / KAFKA_PASSWORD_FILE, "") for login in KAFKA_LOGINS]
    return paths
