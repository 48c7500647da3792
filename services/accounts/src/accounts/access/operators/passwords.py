"""Passwords: their argon2id hashes, computed beside the requests and a few at a time.

A hash takes 32 MiB and about 60 ms of one core. So at most two are computed at once, and logins
wait for them in a queue with a bound: the service stays within its memory, however many log in.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from accounts.refusals import LoginsLimited

T = TypeVar("T")
SHORTEST, LONGEST = 12, 200
_AT_ONCE = 2
_MOST_WAITING = 50
_RETRY_S = 2.0


class Passwords:
    """Makes and verifies hashes."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The hash of a new password. Raises LoginsLimited while too many are computed."""
        return await self._computed(self._hasher.hash, _normal(password))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether `kept` is the hash of `password`; None takes as long, and is of none.

        Raises LoginsLimited while too many are computed.
        """
        same = await self._computed(self._is_of, kept or self._nobodys, _normal(password))
        return same and kept is not None

    def _is_of(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except VerifyMismatchError:
            return False

    async def _computed(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= _MOST_WAITING:
            raise LoginsLimited(_RETRY_S, "too many logins are made at the moment")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    """The password in one form of Unicode: keyboards differ in how they write é."""
    return unicodedata.normalize("NFKC", password)
