"""Where commands find the servers: the environment, or the stack that runs in this folder."""

import json
import os
from pathlib import Path
from typing import Any

from ringfence.errors import RingfenceError
from ringfence.kafka.brokers import Brokers
from ringfence.settings import CommonSettings, read_settings

STACK_FILE = Path(".ringfence") / "stack.json"


class NothingRuns(RingfenceError):
    """No server is named, and no stack runs here."""


def database_dsn() -> str:
    """The database. Raises NothingRuns, which says what to do."""
    return os.environ.get("RINGFENCE_POSTGRES_DSN") or str(_stack("RINGFENCE_POSTGRES_DSN")["dsn"])


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
    try:
        found: dict[str, Any] = json.loads(STACK_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NothingRuns(
            f"no stack runs in {STACK_FILE.parent.absolute()}: start one with `make run`,"
            f" or name a server in {variable}"
        ) from None
    return found
