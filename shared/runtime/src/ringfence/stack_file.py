"""How commands find the servers: by the environment, or by the stack that runs in this folder.

A stack file of another user is never believed: it could name an address that collects tokens.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from ringfence.kafka.brokers import Brokers
from ringfence.settings import CommonSettings, read_settings
from ringfence_contracts.errors import RingfenceError

STACK_FOLDERS = (".ringfence", ".ringfence-up")
"""Where `make run` and `ringfence up` keep their state, unless another folder is named."""


class NothingRuns(RingfenceError):
    """No server is named, and no stack runs here."""


def find(folder: Path | None = None) -> Path | None:
    """The state file of the stack that runs in `folder` (default: here) or in one above it.

    The nearest one is used; None if none runs. RINGFENCE_STACK names another state folder. Raises
    NothingRuns if two stacks run in the same folder, for a command must not reach the wrong one;
    and for a file or a folder that is of another user, or that others may write.
    """
    if named := os.environ.get("RINGFENCE_STACK"):
        file = Path(named) / "stack.json"
        return _of_this_user(file) if file.is_file() else None
    start = (folder or Path()).absolute()
    for candidate in (start, *start.parents):
        found = _in_folder(candidate)
        if found is not None:
            return _of_this_user(found)
    return None


def _of_this_user(file: Path) -> Path:
    """The file, if it and its folder are of this user and nobody else may write them."""
    for path in (file.parent, file):
        found, link = path.stat(), path.lstat()
        if os.geteuid() != found.st_uid or os.geteuid() != link.st_uid:
            wrong = "it belongs to another user"
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            wrong = "other users may write it"
        else:
            continue
        raise NothingRuns(
            f"{path} is not used, because {wrong}: a file there could send your token and your"
            " commands elsewhere. Run this as the user who started the stack, name your own stack's"
            " folder in RINGFENCE_STACK, or set RINGFENCE_API and RINGFENCE_TOKEN"
        )
    return file


def _in_folder(folder: Path) -> Path | None:
    files = [folder / name / "stack.json" for name in STACK_FOLDERS]
    found = [file for file in files if file.is_file()]
    if len(found) > 1:
        raise NothingRuns(
            f"two stacks run in {folder} ({' and '.join(STACK_FOLDERS)}):"
            f" say which one is meant, such as RINGFENCE_STACK={STACK_FOLDERS[1]}"
        )
    return found[0] if found else None


def read() -> dict[str, Any]:
    """The content of the state file of the stack that runs here; {} if none runs.

    Raises NothingRuns if two run, or if the file cannot be read.
    """
    file = find()
    if file is None:
        return {}
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NothingRuns(f"{file} cannot be read: {error}") from None
    return found


def database_dsn() -> str:
    """The URL of the database, with the password of RINGFENCE_POSTGRES_PASSWORD_FILE if it is set.

    Raises NothingRuns, which says what to do. A wrong setting ends the command with a plain line.
    """
    if os.environ.get("RINGFENCE_POSTGRES_DSN"):
        return read_settings(CommonSettings).postgres_dsn.get_secret_value()
    return str(_running("RINGFENCE_POSTGRES_DSN")["dsn"])


def kafka_bootstrap() -> str:
    """The brokers. Raises NothingRuns, which says what to do."""
    named = os.environ.get("RINGFENCE_KAFKA_BOOTSTRAP")
    return named or str(_running("RINGFENCE_KAFKA_BOOTSTRAP")["bootstrap"])


def kafka_brokers(bootstrap: str = "") -> Brokers:
    """The brokers, at `bootstrap` if it is given, with TLS and login from the environment.

    Raises NothingRuns. A wrong setting ends the command with a plain line.
    """
    given = bootstrap or kafka_bootstrap()
    return read_settings(CommonSettings, kafka_bootstrap=given).brokers()


def _running(variable: str) -> dict[str, Any]:
    stack = read()
    if not stack:
        raise NothingRuns(
            f"no stack runs in {Path().absolute()} or in a folder above it: start one with"
            f" `make run` or `ringfence up`, or name a server in {variable}"
        )
    return stack
