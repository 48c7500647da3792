"""`make clean`: remove the state folder, unless a stack is at work in it.

It runs with any Python, before anything is installed, so it imports the standard library only.
"""

import fcntl
import shutil
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Remove `folder`. Exits with 1 and says why while it is in use."""
    if not folder.is_dir():
        return
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "?"
            sys.exit(f"{folder} is in use by process {holder}: stop it with Ctrl-C first.")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
