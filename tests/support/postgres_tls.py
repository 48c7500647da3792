"""A PostgreSQL that accepts only TLS connections. The embedded build has no TLS."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from ringfence_local.embedded.ports import free_port
from ringfence_local.embedded.postgres import program
from ringfence_local.processes import child

PASSWORD = "correct0horse0battery"
BOUND_S = 60.0
_NO_TLS = "SSL is not supported by this build"
_WHO_MAY_LOG_IN = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


class TlsPostgres:
    """A server with a certificate for 127.0.0.1; `ca.pem` in its folder is who signed it.

    `stranger.pem` is an authority that signed nothing here, `password` the file of the owner's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._log = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        stranger.cert_pem.write_to_path(str(folder / "stranger.pem"))
        (folder / "password").write_text(f"{PASSWORD}\n")
        self._server = folder / "server"
        self._server.mkdir()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(str(self._server / "key.pem"))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(self._server / "certificate.pem"), append=True)
        (self._server / "pg_hba.conf").write_text(_WHO_MAY_LOG_IN)
        shutil.copy(folder / "password", self._server / "password")
        self._user = None if os.geteuid() else "nobody"
        for path in (self._server, *self._server.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
            if self._user:
                owner = pwd.getpwnam(self._user)
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def start(self) -> None:
        """Start the server and wait for it. Skips the test if no installed server has TLS."""
        tried = [str(path) for path in _servers()]
        for server in tried:
            if self._started(Path(server)):
                return
        pytest.skip(
            f"no PostgreSQL with TLS is installed (looked at {', '.join(tried)}):"
            " apt-get install postgresql"
        )

    def _started(self, server: Path) -> bool:
        data = self._server / "data"
        shutil.rmtree(data, ignore_errors=True)
        self._log.unlink(missing_ok=True)
        made = self._begin(
            str(server.with_name("initdb")), "-D", str(data), "-U", "postgres", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--auth=scram-sha-256",
            f"--pwfile={self._server / 'password'}",
        )  # fmt: skip
        assert made.wait(BOUND_S) == 0, child.last_lines(self._log)
        settings = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": self.port,
            "fsync": "off",
            "ssl": "on", "ssl_cert_file": self._server / "certificate.pem",
            "ssl_key_file": self._server / "key.pem", "hba_file": self._server / "pg_hba.conf",
        }  # fmt: skip
        given = [f"-c{name}={value}" for name, value in settings.items()]
        self._process = self._begin(str(server), "-D", str(data), *given)
        state = data / "postmaster.pid"
        deadline = time.monotonic() + BOUND_S
        while not (state.is_file() and "ready" in state.read_text()):
            if self._process.poll() is not None and _NO_TLS in child.last_lines(self._log):
                return False
            assert self._process.poll() is None, child.last_lines(self._log)
            assert time.monotonic() < deadline, child.last_lines(self._log)
            time.sleep(0.02)
        return True

    def _begin(self, *command: str) -> subprocess.Popen[bytes]:
        return child.start(command, log=self._log, end_by="SIGINT", user=self._user)

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            child.stop(self._process, by=signal.SIGINT, bound_s=BOUND_S)

    def log(self) -> str:
        """The log of the server."""
        return self._log.read_text()

    def dsn(
        self,
        login: str = "postgres",
        *,
        host: str = "127.0.0.1",
        mode: str = "verify-full",
        ca: str = "ca.pem",
    ) -> str:
        """A URL without a password."""
        place = f"{login}@{host}:{self.port}/postgres?sslmode={mode}"
        return f"postgresql://{place}&sslrootcert={quote(str(self.folder / ca))}"


def _servers() -> list[Path]:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    return [Path(program("postgres")), *installed]
