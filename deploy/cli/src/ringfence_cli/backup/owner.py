"""The database by a login that may read all of it, and create others."""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from ringfence import stack_file
from ringfence.stack_file import database_dsn

_SUPERUSER = "postgres"
_PASSWORD = Path("postgres") / "superuser-password"


def owner_dsn(given: str | None) -> str:
    """The URL that is given, that of RINGFENCE_POSTGRES_DSN, or the owner's of the stack here.

    The stack's own file names the operator's login, which may not read all; the password of the
    embedded server's owner is in its folder. Raises NothingRuns.
    """
    if given:
        return given
    dsn = database_dsn()
    file = None if os.environ.get("RINGFENCE_POSTGRES_DSN") else stack_file.find()
    password = file.parent / _PASSWORD if file else None
    if password is None or not password.is_file():
        return dsn
    parts = urlsplit(dsn)
    secret = quote(password.read_text(encoding="utf-8").strip(), safe="")
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{_SUPERUSER}:{secret}@{place}").geturl()
