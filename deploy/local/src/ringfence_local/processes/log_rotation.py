"""Rotates logs, so that they do not fill the disk, where no journal or container engine does it.

A log is copied and then truncated, because the process that writes it keeps it open. All logs are
opened for appending, so the next line is written at the beginning. Lines that are written between
copying and truncating, within milliseconds, are lost.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ROTATE_AT_BYTES = 50_000_000
KEPT = 5
"""How many rotated logs are kept of each log; `rating.log.1` is the newest."""


def logs_of(folder: Path) -> Iterator[Path]:
    """The logs of a stack's services and embedded servers."""
    yield from folder.glob("logs/*.log")
    yield from (
        path for name in ("kafka", "postgres") for path in folder.glob(f"{name}/{name}.log")
    )


def rotate(log: Path, *, at_bytes: int = ROTATE_AT_BYTES, kept: int = KEPT) -> bool:
    """Rotate the log if it is larger than `at_bytes`; returns whether it was. Raises OSError."""
    if not log.is_file() or log.stat().st_size <= at_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        earlier = log.with_name(f"{log.name}.{number}")
        if earlier.is_file():
            earlier.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True
