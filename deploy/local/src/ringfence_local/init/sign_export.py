"""`ringfence server sign-export`: lets a FusionPBX's database sign its export of calls."""

import asyncio
import json
import os
import re
import secrets
import tomllib
from pathlib import Path

import click

from ringfence_contracts.errors import BadInput
from ringfence_pbx.fusionpbx.exports.samples import count_signed, newest_rows
from ringfence_pbx.fusionpbx.exports.signing import export_settings
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.servers import FusionPbxServer, Servers, load_servers

WHY = """\
FusionPBX's export of calls escapes nothing: a tenant's administrator can write
a whole call of another tenant into the name of an extension. ringfence believes
no such row and has each new one confirmed, by a request of its own. If the
PBX's database signs the rows, no request is needed, and no text spoils a row."""


@click.command("sign-export")
@click.argument("server_id")
@click.option(
    "--servers",
    "servers_file",
    type=click.Path(path_type=Path),
    envvar="RINGFENCE_SERVERS_FILE",
    default=Path("servers.toml"),
    show_default=True,
    help="The servers file.",
)
@click.option("--yes", is_flag=True, help="Do not ask: enter the settings.")
def sign_export(server_id: str, servers_file: Path, yes: bool) -> None:
    """Let the database of a FusionPBX sign its export of calls.

    It enters default settings of FusionPBX (category cdr, subcategory export), by which the export
    selects clean texts and a signature; a superadmin's key is needed. The secret is written to
    secrets/ID-export, and the servers file names it. Nothing is entered twice: if the rows are
    signed already, nothing changes. Restart cdr-ingest afterwards.

    Example: ringfence server sign-export pbx1
    """
    server = load_servers(servers_file).fusionpbx.get(server_id)
    if server is None or server.way != "export":
        raise BadInput("SERVER_ID", server_id, "a FusionPBX that is read by its export")
    count = len(export_settings("x"))
    click.echo(f"{WHY}\n\n{count} default settings are entered in FusionPBX for it.")
    if not yes and not click.confirm("Enter them?"):
        raise SystemExit(1)
    enter_signing(servers_file, server_id)


def enter_signing(servers_file: Path, server_id: str) -> None:
    """Write the secret, enter the settings, and check that rows are signed."""
    server = load_servers(servers_file).fusionpbx[server_id]
    if server.export_secret is None:
        _name_secret(servers_file, server_id, _write_secret(servers_file, server_id))
        server = load_servers(servers_file).fusionpbx[server_id]
    assert server.export_secret is not None
    secret = server.export_secret.read().get_secret_value()
    click.echo(asyncio.run(_enter(server_id, server, secret)))


def _write_secret(servers_file: Path, server_id: str) -> Path:
    path = servers_file.absolute().parent / "secrets" / f"{server_id}-export"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        click.echo(f"kept {path}")
        return path
    with os.fdopen(file, "w") as written:
        written.write(f"{secrets.token_hex(32)}\n")
    click.echo(f"wrote {path}")
    return path


def _name_secret(servers_file: Path, server_id: str, secret: Path) -> None:
    """Add `export_secret` below the server's heading, if that changes nothing else."""
    before = servers_file.read_text(encoding="utf-8")
    line = f"export_secret = {{ file = {json.dumps(str(secret), ensure_ascii=False)} }}"
    key = re.escape(server_id)
    heading = re.compile(rf'^\[servers\.(?:"{key}"|{key})\][^\n]*\n', re.MULTILINE)
    after = heading.sub(lambda found: f"{found.group()}{line}\n", before, count=1)
    if not _adds_only_secret(before, after, server_id):
        raise BadInput(
            servers_file.name, server_id, f"this line in its table, which you add by hand: {line}"
        )
    Servers.model_validate(tomllib.loads(after))
    new = servers_file.with_name(f".{servers_file.name}.new")
    new.write_text(after, encoding="utf-8")
    new.chmod(servers_file.stat().st_mode & 0o777)
    new.replace(servers_file)
    click.echo(f"{servers_file}: {server_id} has export_secret now")


def _adds_only_secret(before: str, after: str, server_id: str) -> bool:
    expected, found = tomllib.loads(before), tomllib.loads(after)
    return found["servers"][server_id].pop("export_secret", None) is not None and found == expected


async def _enter(server_id: str, server: FusionPbxServer, secret: str) -> str:
    """Enter the settings unless rows are signed already; what was found afterwards."""
    host = server.host if server.all_tenants else server.tenants[0]
    async with FusionPbxSession(server_id, server, host=host) as session:
        rows = await newest_rows(session, all_tenants=server.all_tenants)
        if rows and count_signed(rows, secret) == len(rows):
            return f"The rows of {server_id} are signed already; nothing was entered."
        for setting in export_settings(secret):
            await session.add_default_setting(setting)
        session.forget_login()
        found = await newest_rows(session, all_tenants=server.all_tenants)
    if rows and not found:
        raise BadInput(
            server_id, "no rows any more",
            "an export that works: delete the default settings cdr/export in FusionPBX again",
        )  # fmt: skip
    if not found:
        return (
            f"Entered, but {server_id} lists no call of the last week by which to check it:"
            f" make a call, then `ringfence doctor --server {server_id}`."
        )
    if (signed := count_signed(found, secret)) < len(found):
        raise BadInput(
            server_id,
            f"{signed} of {len(found)} rows with a right signature",
            "all of them: look at the default settings cdr/export in FusionPBX",
        )
    return f"The database of {server_id} signs its rows now. Restart cdr-ingest."
