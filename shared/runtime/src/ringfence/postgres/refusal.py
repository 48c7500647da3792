"""Why a database refuses a client, or the client the database, with the setting to check.

A retry does not fix TLS, a certificate, a login or a password. Messages hold hosts, the login's
name and the server's message, but no password.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from ringfence.transient import ConnectionProblem
from ringfence_contracts.errors import Retry

DSN = "RINGFENCE_POSTGRES_DSN"
PASSWORD_FILE = "RINGFENCE_POSTGRES_PASSWORD_FILE"  # noqa: S105 - a variable's name
_CHECKED = ("verify-ca", "verify-full")
_CONNECTING = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class DatabaseRefuses(Retry):
    """The database refuses this client, or we do not trust it: a setting must be changed.

    A service exits with status 75 by it, and so retries: the server may be being changed.
    """


@contextmanager
def explained_refusal(dsn: str) -> Iterator[None]:
    """Around opening a connection: a refusal is raised as DatabaseRefuses, with its reason."""
    try:
        yield
    except _CONNECTING as error:
        if problem := connection_problem(error, dsn):
            raise DatabaseRefuses(f"PostgreSQL: {problem.message}: {problem.remedy}") from error
        raise


def connection_problem(error: BaseException, dsn: str) -> ConnectionProblem | None:
    """Why TLS or the login failed with `error`; None if it is another error."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2] or "the server"
    if isinstance(error, ssl.SSLCertVerificationError):
        believed = authorities(dsn) or "any authority"
        message = (
            f"the certificate of {place} is not accepted by {believed}: {error.verify_message}"
        )
        remedy = f"check sslrootcert in {DSN}, and that the certificate names this host"
        return ConnectionProblem(message, remedy)
    if isinstance(error, ssl.SSLError):
        return ConnectionProblem(f"{place} and we agree on no TLS ({error.reason})", f"check {DSN}")
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        message = f"{place} has no TLS, and sslmode={sslmode(dsn)} asks for it"
        return ConnectionProblem(message, f"check the port in {DSN}, and `ssl = on` at the server")
    if isinstance(error, asyncpg.InvalidPasswordError):
        message = f"{place} refuses the password of {unquote(parts.username or '') or 'the login'}"
        return ConnectionProblem(message, f"check the login in {DSN}, and {PASSWORD_FILE}")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return _not_let_in(place, str(error.args[0] if error.args else error))
    return None


def _not_let_in(place: str, server_message: str) -> ConnectionProblem:
    """With the server's message: which login, from where, and whether it came in plain text."""
    message = f"{place} refuses the connection: {server_message.splitlines()[0]}"
    if "no encryption" in server_message:
        return ConnectionProblem(message, f"set sslmode=verify-full and sslrootcert=… in {DSN}")
    return ConnectionProblem(message, f"check the login in {DSN}, and pg_hba.conf at the server")


def sslmode(dsn: str) -> str:
    """The sslmode of the URL, or of PGSSLMODE; `prefer` if neither gives one."""
    given = parse_qs(urlsplit(dsn).query).get("sslmode")
    return given[-1] if given else os.environ.get("PGSSLMODE") or "prefer"


def authorities(dsn: str) -> Path | None:
    """The file of the trusted authorities; None if certificates are not verified."""
    if sslmode(dsn) not in _CHECKED:
        return None
    given = parse_qs(urlsplit(dsn).query).get("sslrootcert")
    named = given[-1] if given else os.environ.get("PGSSLROOTCERT")
    return Path(named) if named else Path.home() / ".postgresql" / "root.crt"


def refuse_unusable(dsn: str) -> None:
    """Raise ValueError, which names the variable, if the file of authorities is unusable."""
    path = authorities(dsn)
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(
            f"{DSN}: sslrootcert={path} cannot be used ({type(error).__name__}): expected a"
            " readable file with certificates in PEM"
        ) from None
