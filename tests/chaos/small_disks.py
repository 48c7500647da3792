"""Small file systems in memory for single folders of a stack, which can be filled."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

SIZES_MB = {"kafka": 700, "postgres": 900, "logs": 8}
"""By folder of the stack: broker, database, and what services write on their own."""

_BLOCK = bytes(64 * 1024)


class CannotMount(Exception):
    """This user may mount nothing here; the message has the reason."""


class SmallDisks:
    """Mounts a file system of its own at each of `SIZES_MB`, until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mounted: list[Path] = []

    def open(self) -> None:
        """Mount all. Raises CannotMount."""
        if os.geteuid() != 0:
            raise CannotMount("a small file system needs root, to be mounted")
        for name, size_mb in SIZES_MB.items():
            path = self._folder / name
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0711", "tmpfs"]
            done = subprocess.run(
                [*command, str(path)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                self.close()
                raise CannotMount(f"no tmpfs can be mounted here: {done.stderr.strip()}")
            self._mounted.append(path)

    def close(self) -> None:
        """Unmount all."""
        while self._mounted:
            subprocess.run(["umount", "-l", str(self._mounted.pop())], check=False)

    def fill(self, name: str) -> None:
        """Leave no byte in one of them."""
        filler = self._folder / name / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(_BLOCK) == len(_BLOCK):
                pass
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"\0"):
                pass

    def give_back(self, name: str) -> None:
        """The space is there again."""
        (self._folder / name / "filler").unlink(missing_ok=True)
