"""A client with its state at other services, as one row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.clients.account import Account


@dataclass(frozen=True)
class ClientRow:
    """A client with its state at rating, balance-watch and the suspender.

    `departed` are removed products of which something is still off.
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
