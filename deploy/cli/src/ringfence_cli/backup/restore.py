"""`ringfence restore`: tries a backup, or restores it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import click

from ringfence.kafka.brokers import Bootstrap
from ringfence.stack_file import kafka_brokers
from ringfence_cli.backup import store
from ringfence_cli.backup.backup import sums_in_words
from ringfence_cli.backup.manifest import DUMP, BackupManifest, CurrencySums, read_manifest
from ringfence_cli.backup.owner import owner_dsn
from ringfence_cli.backup.tools import run_tool
from ringfence_cli.backup.topics import BrokersSilent, read_ends, records_since, set_back
from ringfence_cli.tables import output_options, plural, print_json, print_sentence
from ringfence_cli.times import sentence
from ringfence_contracts.errors import RingfenceError
from ringfence_contracts.topics import ACCOUNT_CHANGED, CALL_COMPLETED, PAYMENT_RECEIVED

EXIT_DIFFERS = 1


@dataclass(frozen=True)
class TrialResult:
    """What a trial found: `differs` are reasons not to trust the backup; `remarks` are none.

    `since`: records that the topics got since, by topic; None where the brokers do not answer.
    """

    sums: Sequence[CurrencySums]
    differs: Sequence[str]
    remarks: Sequence[str]
    since: Mapping[str, int] | None


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Try it in a database of its own, which is removed.")
@click.option("--into", metavar="URL", help="Restore it as this database.")
@click.option("--dsn", help="For --check: a database of the server to try it on.")
@click.option("--bootstrap", help="host:port of the broker; left out: as the services know it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_options
def restore(
    folder: Path, check: bool, into: str | None, dsn: str | None, bootstrap: str | None,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Try a backup with --check, or restore it with --into.

    --check restores into a database of its own, checks the books in it, and says
    what would be lost. --into needs the services stopped; a database of that
    name is kept under another one.

    Example: ringfence restore /backup/2026-11-22 --check
    """
    if check == bool(into):
        raise click.UsageError("say what to do: --check to try the backup, or --into URL")
    manifest = read_manifest(folder)
    brokers = kafka_brokers(bootstrap or "")
    if into is None:
        found = asyncio.run(try_backup(folder, manifest, owner_dsn(dsn), brokers))
        _show_trial(manifest, found, as_json=as_json)
        if found.differs:
            raise SystemExit(EXIT_DIFFERS)
        return
    _confirm(manifest, into, yes)
    kept, again = asyncio.run(restore_backup(folder, manifest, into, brokers))
    if as_json:
        print_json({"database": store.name_of(into), "kept_as": kept, "read_again": again})
    else:
        _show_restored(into, kept, again)


async def try_backup(
    folder: Path, manifest: BackupManifest, dsn: str, bootstrap: Bootstrap
) -> TrialResult:
    """Restore into a scratch database, check it, and remove it."""
    scratch = store.with_name(dsn, f"ringfence_trial_{uuid4().hex[:12]}")
    await store.create_database(scratch)
    try:
        await _load(folder, scratch)
        async with store.connected(scratch) as connection:
            migrations = await store.migrations_of(connection)
            sums = await store.sums_of(connection)
            drifts = await store.drifts_of(connection)
    finally:
        await store.drop_database(scratch)
    differs = _differences(manifest, migrations, sums, drifts)
    remarks = [
        f"{name}: {rows} differences that were in flight between services, or lasted"
        for name, rows in drifts.items()
        if rows and name in store.IN_FLIGHT
    ]
    try:
        since = records_since(manifest.ends, await read_ends(bootstrap))
    except BrokersSilent:
        return TrialResult(sums, differs, remarks, None)
    return TrialResult(sums, differs, remarks, since)


def _differences(
    manifest: BackupManifest,
    migrations: Sequence[str],
    sums: Sequence[CurrencySums],
    drifts: Mapping[str, int],
) -> list[str]:
    found = []
    if list(migrations) != list(manifest.migrations):
        found.append("the migrations differ from those of the manifest")
    if list(sums) != list(manifest.sums):
        was = "; ".join(map(sums_in_words, manifest.sums))
        found.append(f"the sums differ: the manifest has {was}")
    found += [
        f"{name}: {rows} rows violate it"
        for name, rows in drifts.items()
        if rows and name not in store.IN_FLIGHT
    ]
    return found


async def restore_backup(
    folder: Path, manifest: BackupManifest, dsn: str, bootstrap: Bootstrap
) -> tuple[str | None, dict[str, int]]:
    """Restore as the database of `dsn`; the name under which the former one is kept, and how many
    records are read again by topic.

    1. The services must be gone. 2. The former database is renamed, not dropped. 3. The dump is
    restored. 4. Rating's group is set back to the ends of the manifest. A kill before step 4 needs
    the command once more.
    """
    running = await store.services_connected(dsn)
    if running:
        raise RingfenceError(
            f"these services are connected to {store.name_of(dsn)}: {', '.join(running)}."
            " Stop them, and give the command again"
        )
    await read_ends(bootstrap)  # before anything is changed
    kept = None
    if await store.exists(dsn):
        kept = f"{store.name_of(dsn)}_before_{datetime.now(UTC):%Y%m%d_%H%M%S}"
        try:
            await store.rename_database(dsn, kept)
        except asyncpg.ObjectInUseError:
            raise RingfenceError(
                f"somebody is connected to {store.name_of(dsn)}: end that session, and give the"
                " command again"
            ) from None
    await store.create_database(dsn)
    await _load(folder, dsn)
    return kept, await set_back(bootstrap, manifest.ends)


async def _load(folder: Path, dsn: str) -> None:
    arguments = ["--no-owner", "--exit-on-error", str(folder / DUMP)]
    await asyncio.to_thread(run_tool, "pg_restore", dsn, arguments)


def _confirm(manifest: BackupManifest, into: str, yes: bool) -> None:
    at = sentence(manifest.taken_at.isoformat())
    print_sentence(f"The database {store.name_of(into)} becomes what it was at {at}.", err=True)
    if not yes:
        click.confirm("Restore it?", abort=True, err=True)


def _show_trial(manifest: BackupManifest, found: TrialResult, *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(found), "usable": not found.differs})
        return
    at = sentence(manifest.taken_at.isoformat())
    print_sentence(f"Backup of {at}, version {manifest.version}:")
    for row in found.sums:
        click.echo(f"  {sums_in_words(row)}")
    for line in found.remarks:
        print_sentence(f"Note: {line}")
    for line in found.differs:
        print_sentence(f"WRONG: {line}")
    if found.since is None:
        print_sentence("Kafka does not answer, so what came since is not known.")
    else:
        _show_since(found.since)
    print_sentence(
        "The backup is damaged: use another one."
        if found.differs
        else "The backup can be restored: the books in it are right."
    )


def _show_since(since: Mapping[str, int]) -> None:
    payments, calls = since[PAYMENT_RECEIVED.name], since[CALL_COMPLETED.name]
    profiles = since[ACCOUNT_CHANGED.name]
    print_sentence("Since then the topics got, and a restore would mean:")
    for text in (
        f"{plural(calls, 'call')}: rated again by itself, each once",
        f"{plural(payments, 'payment')}: kept on the topic; you enter them with"
        " `ringfence payments claim --from-topic`",
        f"{plural(profiles, 'change')} of clients: lost; you enter them again",
    ):
        print_sentence(f"  {text}")


def _show_restored(into: str, kept: str | None, again: Mapping[str, int]) -> None:
    print_sentence(f"{store.name_of(into)} is restored.")
    if kept:
        print_sentence(f"The former database is kept as {kept}.")
    calls, payments = again[CALL_COMPLETED.name], again[PAYMENT_RECEIVED.name]
    print_sentence(f"Read again: {plural(calls, 'call')}, {plural(payments, 'payment')}.")
    click.echo("What next:")
    for line in (
        "start the services; their alarms say who continues above what",
        "ringfence payments unclaimed      payments since the backup",
        "ringfence payments claim --from-topic --reason WHY",
        "enter again what was changed of clients since the backup",
        "ringfence verify                  until it holds",
    ):
        click.echo(f"  {line}")
