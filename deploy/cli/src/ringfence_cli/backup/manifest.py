"""The manifest of a backup: what the dump holds, and where the topics ended before it."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import orjson

from ringfence_contracts.errors import BadInput, RingfenceError

DUMP = "ringfence.dump"
MANIFEST = "manifest.json"
_READ_AT_ONCE = 1 << 20


class BackupUnusable(RingfenceError):
    """A folder holds no complete backup; the message says why."""


@dataclass(frozen=True)
class CurrencySums:
    """The money of one currency in micro-units, and how many accounts and entries there are."""

    currency: str
    accounts: int
    entries: int
    balance_micro: int
    paid_micro: int


@dataclass(frozen=True)
class BackupManifest:
    """What a backup holds. `ends`: by topic, the offset behind the last record of each partition.

    The ends were read before the dump began: what is in the dump was on the topics by then, or is
    on them behind the ends.
    """

    version: str
    taken_at: datetime
    migrations: Sequence[str]
    sums: Sequence[CurrencySums]
    ends: Mapping[str, Sequence[int]]
    sha256: str
    dump_bytes: int


def new_folder(folder: Path) -> None:
    """Create the folder of a backup, for this user alone. Raises BadInput if it holds anything."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadInput("FOLDER", str(folder), "a new or empty folder: a backup replaces none")


def write_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Write the manifest, as the last file of a backup: without it the backup is incomplete."""
    path = folder / MANIFEST
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))


def read_manifest(folder: Path) -> BackupManifest:
    """The manifest of a backup. Raises BackupUnusable if the backup is incomplete or damaged."""
    try:
        found = orjson.loads((folder / MANIFEST).read_bytes())
        manifest = BackupManifest(
            version=found["version"],
            taken_at=datetime.fromisoformat(found["taken_at"]),
            migrations=found["migrations"],
            sums=[CurrencySums(**row) for row in found["sums"]],
            ends=found["ends"],
            sha256=found["sha256"],
            dump_bytes=found["dump_bytes"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupUnusable(
            f"{folder} holds no complete backup ({MANIFEST}: {type(error).__name__})"
        ) from None
    if digest_of(folder) != manifest.sha256:
        raise BackupUnusable(f"{folder / DUMP} is not as it was written: its SHA-256 differs")
    return manifest


def digest_of(folder: Path) -> str:
    """The SHA-256 of the dump; empty if there is none."""
    digest = hashlib.sha256()
    try:
        with (folder / DUMP).open("rb") as file:
            while block := file.read(_READ_AT_ONCE):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
