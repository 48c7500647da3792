"""`ringfence database`: prepares a database before the services start."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import click

from ringfence.console.output import json_option, print_json
from ringfence.postgres.migrate import migrate as apply_migrations
from ringfence.postgres.refusal import explained_refusal
from ringfence.postgres.roles import create_logins
from ringfence.settings import CommonSettings, read_settings
from ringfence_contracts.errors import RingfenceError

_CONNECT_BOUND_S = 300.0
_LOOK_EVERY_S = 1.0


@click.group()
def database() -> None:
    """Prepare a database: migrate, create logins; verify the books in it."""


@database.command()
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="RINGFENCE_MIGRATIONS_DIR",
    required=True,
    help="folder of the *.sql files (or RINGFENCE_MIGRATIONS_DIR)",
)
@json_option
def migrate(folder: Path, as_json: bool) -> None:
    """Apply the migrations that the database lacks. Two at once take turns.

    The database is that of RINGFENCE_POSTGRES_DSN (and RINGFENCE_POSTGRES_PASSWORD_FILE), by a
    login that may create roles and schemas. It is waited for, up to five minutes.

    Example: ringfence database migrate --folder deploy/migrations
    """
    applied = _run(apply_migrations(_dsn(), folder))
    if as_json:
        print_json({"applied": applied})
        return
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{len(applied)} migrations applied" if applied else "nothing to apply")


@database.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="folder of the password files, one for each service: SERVICE/postgres-password",
)
@json_option
def logins(folder: Path, as_json: bool) -> None:
    """Have one login for each service, which can write in that service's schema alone.

    A missing password file is written with a random password. Run it again after a change of one.
    Where the folder has operator/postgres-password, the operator's commands have a login too, which
    may act as each service and is no superuser.

    Example: ringfence database logins --folder /run/secrets
    """
    names = _run(create_logins(_dsn(), folder))
    if as_json:
        print_json({"logins": names})
        return
    for name in names:
        click.echo(f"login {name}")


def _dsn() -> str:
    return read_settings(CommonSettings).postgres_dsn.get_secret_value()


def _run(work: Coroutine[Any, Any, list[str]]) -> list[str]:
    async def when_up() -> list[str]:
        try:
            await asyncio.wait_for(_until_up(_dsn()), _CONNECT_BOUND_S)
        except TimeoutError:
            raise click.ClickException(
                f"the database did not answer within {_CONNECT_BOUND_S:.0f} s:"
                " check RINGFENCE_POSTGRES_DSN and that PostgreSQL runs"
            ) from None
        return await work

    try:
        return asyncio.run(when_up())
    except (RingfenceError, asyncpg.PostgresError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        work.close()  # if it was never started


async def _until_up(dsn: str) -> None:
    """Wait while nothing listens or the server is starting; a refusal is raised at once."""
    while True:
        try:
            with explained_refusal(dsn):
                connection = await asyncpg.connect(dsn, timeout=10)
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            await connection.close()
            return
