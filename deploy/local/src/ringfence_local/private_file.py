"""Writes files that only this user can read."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only this user can read."""
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    partial.rename(path)
