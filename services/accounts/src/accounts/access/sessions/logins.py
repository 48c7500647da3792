"""How an operator logs in: by name and password, or by a link; and what becomes of failures."""

import asyncio

import structlog

from accounts.access.failed_logins import FailedLogins
from accounts.access.login_counter import FAILURES
from accounts.access.operators.passwords import Passwords
from accounts.access.sessions.store import OpenedSession, SessionStore
from accounts.refusals import LoginRefused, LoginsLimited
from ringfence_contracts.events.model import is_id

log = structlog.get_logger()


class Logins:
    """Opens sessions."""

    def __init__(self, store: SessionStore, passwords: Passwords, failures: FailedLogins) -> None:
        self._store = store
        self._passwords = passwords
        self._failures = failures

    async def by_password(self, name: str, password: str, address: str) -> OpenedSession:
        """Open a session by name and password.

        Raises LoginRefused, after the same time whatever was wrong; LoginsLimited after many
        failures from the address.
        """
        wait_s = self._failures.wait_s(address, _now(), "password")
        if wait_s:
            FAILURES.labels("limited").inc()
            if self._counted(address):
                log.warning("login refused", address=address)
            raise LoginsLimited(wait_s, "too many logins from this address failed")
        # Counted before the password is looked at: many at once cannot pass the limit together.
        logged = self._counted(address)
        try:
            opened = await self._verified(name, password)
        except Exception:  # It was not looked at, such as while the database does not answer.
            self._failures.undo(address, "password")
            raise
        if opened is None:
            expected = "the name and password of an operator"
            raise _refused("name", expected, address, logged=logged)
        self._failures.undo(address, "password")
        log.info("an operator logged in", operator=opened.name, by="password", address=address)
        return opened

    async def by_link(self, secret: str, address: str) -> OpenedSession:
        """Open a session by the secret of a link.

        Raises LoginRefused. It is looked at after any failures: it cannot be guessed.
        """
        opened = await self._store.open_by_link(secret)
        if opened is None:
            logged = self._counted(address)
            expected = "the secret of a link that was not used, and is at most 15 minutes old"
            raise _refused("link", expected, address, logged=logged)
        log.info("an operator logged in", operator=opened.name, by="link", address=address)
        return opened

    async def _verified(self, name: str, password: str) -> OpenedSession | None:
        kept = await self._store.password_of(name) if is_id(name) else None
        if not await self._passwords.verify(kept, password) or kept is None:
            return None
        return await self._store.open_by_password(name, kept)

    def _counted(self, address: str) -> bool:
        """Count a failure; whether it is to be logged."""
        return self._failures.failed(address, _now(), "password")


def _refused(field: str, expected: str, address: str, *, logged: bool) -> LoginRefused:
    FAILURES.labels("password").inc()
    if logged:
        log.warning("login refused", address=address)
    return LoginRefused(field, expected)


def _now() -> float:
    return asyncio.get_running_loop().time()
