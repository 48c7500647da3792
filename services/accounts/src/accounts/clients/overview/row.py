"""A client with what other services say of it, as one row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.clients.account import Account


@dataclass(frozen=True)
class ClientRow:
    """A client with what other services say of it.

    `departed` are products that were removed while something of them was off, and still is.
    """

    account: Account
    balance_micro: int | None
    opening_micro: int | None
    level: str | None
    held: bool
    undone: bool
    braked: bool
    held_since: datetime | None
    state: str
    would: str | None
    products: tuple[Mapping[str, Any], ...]
    departed: tuple[Mapping[str, Any], ...] = ()
