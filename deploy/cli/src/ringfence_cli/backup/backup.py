"""`ringfence backup`: one consistent dump of the database, with a manifest."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from ringfence.kafka.brokers import Bootstrap
from ringfence.stack_file import kafka_brokers
from ringfence.version import VERSION
from ringfence_cli.backup.manifest import (
    DUMP,
    BackupManifest,
    CurrencySums,
    digest_of,
    new_folder,
    write_manifest,
)
from ringfence_cli.backup.owner import owner_dsn
from ringfence_cli.backup.store import connected, migrations_of, sums_of
from ringfence_cli.backup.tools import run_tool
from ringfence_cli.backup.topics import read_ends
from ringfence_cli.tables import output_options, plural, print_json, print_sentence
from ringfence_contracts.money import format_micro


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--dsn", help="The database, by a login that may read all of it.")
@click.option("--bootstrap", help="host:port of the broker; left out: as the services know it.")
@output_options
def backup(folder: Path, dsn: str | None, bootstrap: str | None, as_json: bool) -> None:
    """Back up the database, and note where the topics end.

    The services may run. FOLDER is new or empty. A backup is worth what its
    restoring is worth: `ringfence restore FOLDER --check` tries it.

    Example: ringfence backup /backup/2026-11-22
    """
    new_folder(folder)
    manifest = asyncio.run(take_backup(folder, owner_dsn(dsn), kafka_brokers(bootstrap or "")))
    if as_json:
        print_json({"folder": str(folder), "bytes": manifest.dump_bytes, "sha256": manifest.sha256})
        return
    print_sentence(
        f"The database is in {folder}: {manifest.dump_bytes / 1_000_000:.1f} MB,"
        f" {plural(len(manifest.migrations), 'migration')}."
    )
    for row in manifest.sums:
        click.echo(f"  {sums_in_words(row)}")
    print_sentence(f"Try it: ringfence restore {folder} --check")


async def take_backup(folder: Path, dsn: str, bootstrap: Bootstrap) -> BackupManifest:
    """Write a backup, in this order:

    1. Read where the topics end. What is written later is read again after a restore.
    2. Dump the database and read its sums, in one snapshot.
    3. Write the manifest. Without it, a restore refuses the folder.
    """
    ends = await read_ends(bootstrap)
    taken_at = datetime.now(UTC)
    path = folder / DUMP
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    async with (
        connected(dsn) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        snapshot = await connection.fetchval("select pg_export_snapshot()")
        migrations, sums = await migrations_of(connection), await sums_of(connection)
        arguments = ["-Fc", "--no-owner", f"--snapshot={snapshot}", "-f", str(path)]
        await asyncio.to_thread(run_tool, "pg_dump", dsn, arguments)
    manifest = BackupManifest(
        version=VERSION,
        taken_at=taken_at,
        migrations=migrations,
        sums=sums,
        ends=ends,
        sha256=await asyncio.to_thread(digest_of, folder),
        dump_bytes=path.stat().st_size,
    )
    write_manifest(folder, manifest)
    return manifest


def sums_in_words(row: CurrencySums) -> str:
    """The sums of one currency in a line."""
    return (
        f"{row.currency}: {plural(row.accounts, 'account')}, {plural(row.entries, 'entry')},"
        f" paid in {format_micro(row.paid_micro)}, balance {format_micro(row.balance_micro)}"
    )
