"""The state folder of a stack: its lock, and the stack file that other commands read.

`.ringfence/` holds `kafka/`, `postgres/`, `inbox/`, `logs/`, `secrets/`, `servers.toml`, and while
a stack runs `stack.json`. It is plain files: without a running stack it can be copied or removed.
Nobody but this user can read it: it has mails, calls and secrets.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ringfence_local.embedded.ports import free_port
from ringfence_local.errors import StackError
from ringfence_local.private_file import write_private

FOLDER = Path(".ringfence")
POSTGRES = "postgres"
_PRIVATE = ("kafka", "inbox", "logs", "secrets")

WANTED_PORTS: Mapping[str, int] = {
    "kafka": 9092,
    "postgres": 5432,
    "inbox": 2525,
    "fusionpbx": 8055,
    "accounts": 8080,
    "console": 8081,
}
"""The default ports. A port in use is replaced by a free one, which is saved for the next start."""


@dataclass(frozen=True)
class RunningStack:
    """The addresses of a running stack. `ports` are TCP ports of 127.0.0.1 by name.

    The names are `inbox`, `fusionpbx` and `accounts`; `kafka` and `postgres` if they are embedded;
    `push`, where calls are posted to, if it is configured; and `SERVICE-health` for each service's
    `/health` and `/metrics`.
    """

    pid: int
    bootstrap: str
    dsn: str
    ports: dict[str, int]
    servers_file: str
    tokens_file: str
    inbox_folder: str


@contextmanager
def stack_file_written(folder: Path, running: RunningStack) -> Iterator[None]:
    """Write `running` to the stack file for the duration of the context.

    Only this user can read the file, because a DSN may contain a password.
    """
    path = folder / "stack.json"
    write_private(path, json.dumps(asdict(running), indent=2) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Lock `folder` for one stack; what is written while it is locked is private, as the folder is.

    Raises StackError if another process holds the lock, and for a folder of another user. The lock
    ends with the process, even if it is killed.
    """
    with _private_files():
        _make_private(folder)
        with _locked(folder):
            yield


@contextmanager
def _private_files() -> Iterator[None]:
    """Files and folders that this process and its children create in this block are this user's."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _make_private(folder: Path) -> None:
    """Create the folder, or take from others what they may do in it.

    If root starts the stack, PostgreSQL runs as another user, who passes through this folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise StackError(
            f"{folder.absolute()} belongs to another user: name another folder with --folder"
        )
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    for name in _PRIVATE:  # of a version that let others read them
        if (folder / name).is_dir():
            (folder / name).chmod(0o700)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StackError(
                f"{folder.absolute()} is in use by process {file.read().strip() or '?'}"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        (folder / "stack.json").unlink(missing_ok=True)  # of a stack that was killed
        yield


def choose_ports(folder: Path, wanted: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name: that of the last start, else the wanted one, else any."""
    kept = folder / "ports.json"
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    ports: dict[str, int] = {}
    for name, port in wanted.items():
        found = free_port(before.get(name, port))
        while found in ports.values():
            found = free_port()
        ports[name] = found
    return ports


def save_ports(folder: Path, ports: Mapping[str, int]) -> None:
    """Save the ports, so that addresses stay the same from start to start."""
    (folder / "ports.json").write_text(json.dumps(ports, indent=2) + "\n", encoding="utf-8")


def secret_file(folder: Path, name: str, prefix: str = "") -> Path:
    """A file with a random secret after `prefix`, created at the first start and then kept."""
    path = folder / "secrets" / name
    if not path.is_file():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, f"{prefix}{secrets.token_urlsafe(24)}\n")
    return path
