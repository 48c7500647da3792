"""An append-only file of JSON objects, one a line, that restores the state after a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson


class Journal:
    """The journal; without a path, nothing is written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, **entry: object) -> None:
        """Append one entry; after that it survives a kill of the process."""
        if self._path is None:
            return
        if self._file is None:
            self._file = self._path.open("ab")
        self._file.write(orjson.dumps(entry) + b"\n")
        self._file.flush()

    def read(self) -> Iterator[dict[str, Any]]:
        """All entries, up to one that a crash left incomplete."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield orjson.loads(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
