"""Where commands find the servers: the environment, or the stack that runs in this folder."""

import json
import os
from pathlib import Path
from typing import Any

from ringfence.kafka.brokers import Brokers
from ringfence.settings import CommonSettings, read_settings
from ringfence_contracts.errors import RingfenceError

STACK_FOLDERS = (".ringfence", ".ringfence-up")
"""Where `make run` and `ringfence up` keep their state, unless another folder is named."""


class NothingRuns(RingfenceError):
    """No server is named, and no stack runs here."""


def stack_file(folder: Path | None = None) -> Path | None:
    """The state file of the stack that runs in `folder` (default: here); None where none runs.

    RINGFENCE_STACK names a state folder of another name or place. Raises NothingRuns where two
    run: an order must not reach the one that was not meant.
    """
    if named := os.environ.get("RINGFENCE_STACK"):
        file = Path(named) / "stack.json"
        return file if file.is_file() else None
    folder = folder or Path()
    files = [folder / name / "stack.json" for name in STACK_FOLDERS]
    found = [file for file in files if file.is_file()]
    if len(found) > 1:
        raise NothingRuns(
            f"two stacks run in {folder.absolute()} ({' and '.join(STACK_FOLDERS)}):"
            f" say which one is meant, such as RINGFENCE_STACK={STACK_FOLDERS[1]}"
        )
    return found[0] if found else None


def database_dsn() -> str:
    """The database, with the password of RINGFENCE_POSTGRES_PASSWORD_FILE where it is named.

    Raises NothingRuns, which says what to do; a wrong setting ends the command with a plain line.
    """
    if os.environ.get("RINGFENCE_POSTGRES_DSN"):
        return read_settings(CommonSettings).postgres_dsn.get_secret_value()
    return str(_stack("RINGFENCE_POSTGRES_DSN")["dsn"])


def kafka_bootstrap() -> str:
    """The brokers. Raises NothingRuns, which says what to do."""
    named = os.environ.get("RINGFENCE_KAFKA_BOOTSTRAP")
    return named or str(_stack("RINGFENCE_KAFKA_BOOTSTRAP")["bootstrap"])


def kafka_brokers(bootstrap: str = "") -> Brokers:
    """The brokers, at `bootstrap` if it is given, with what the environment says of security.

    Raises NothingRuns; a wrong setting ends the command with a plain line.
    """
    given = bootstrap or kafka_bootstrap()
    return read_settings(CommonSettings, kafka_bootstrap=given).brokers()


def _stack(variable: str) -> dict[str, Any]:
    file = stack_file()
    if file is None:
        raise NothingRuns(
            f"no stack runs in {Path().absolute()}: start one with `make run` or `ringfence up`,"
            f" or name a server in {variable}"
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
