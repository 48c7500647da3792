"""Logs that do not fill the disk, where no journal or container engine keeps them.

A log is copied aside and emptied, since the process that writes it keeps it open. All logs are
opened for appending, so the next line lands at the beginning. Lines that are written between the
copy and the emptying, within milliseconds, are lost.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ROTATE_AT_BYTES = 50_000_000
KEPT = 5
"""How many earlier logs are kept of each: `rating.log.1` is the newest."""


def logs_of(folder: Path) -> Iterator[Path]:
    """The logs of a stack: of its services, and of the embedded servers."""
    yield from folder.glob("logs/*.log")
    yield from (
        path for name in ("kafka", "postgres") for path in folder.glob(f"{name}/{name}.log")
    )


def rotate(log: Path, *, at_bytes: int = ROTATE_AT_BYTES, kept: int = KEPT) -> bool:
    """Put the log aside if it has more than `at_bytes`; whether it had. Raises OSError."""
    if not log.is_file() or log.stat().st_size <= at_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        earlier = log.with_name(f"{log.name}.{number}")
        if earlier.is_file():
            earlier.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True
