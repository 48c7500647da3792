"""A file that survives a restart: one JSON object a line, appended as things happen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson


class Journal:
    """Without a path, nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, **entry: object) -> None:
        """Append one entry; it is with the operating system when this returns."""
        if self._path is None:
            return
        if self._file is None:
            self._file = self._path.open("ab")
        self._file.write(orjson.dumps(entry) + b"\n")
        self._file.flush()

    def read(self) -> Iterator[dict[str, Any]]:
        """Every entry so far. One that a crash left unfinished ends the reading."""
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
