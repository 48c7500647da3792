"""Failed logins: how many of them an address has, in bounded memory. Pure.

Each address has a budget of failures that refills with time, one for tokens and one for passwords:
a person who mistypes a password does not keep out the systems beside him. An address without a
budget is refused before its token is looked at, unless the token is too long to be guessed: so a
guesser cannot keep out those who share the address, such as that of a proxy.
"""

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Literal

BUDGET = 10
REFILL_S = 6.0
"""One more failure is allowed after this time: 600 an hour, after the first 10."""

_MOST_ADDRESSES = 10_000
_WINDOW_S = 300.0
MANY = 100
"""So many failures within 5 minutes, from all addresses together, are an alarm."""


LoginKind = Literal["token", "password"]


@dataclass
class _Budget:
    left: float
    at: float
    limited: bool = False


class FailedLogins:
    """Counts failures. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._budgets: OrderedDict[tuple[LoginKind, str], _Budget] = OrderedDict()
        self._recent: deque[float] = deque(maxlen=MANY)

    def wait_s(self, address: str, now: float, kind: LoginKind = "token") -> float:
        """How long the address must wait before a login is looked at; 0: not at all."""
        budget = self._budgets.get((kind, _network(address)))
        left = BUDGET if budget is None else _left(budget, now)
        return 0.0 if left >= 1 else (1 - left) * REFILL_S

    def failed(self, address: str, now: float, kind: LoginKind = "token") -> bool:
        """Count a failure; returns whether it is to be logged.

        It is, unless the address had to wait before: so a guesser cannot fill the log.
        """
        self._recent.append(now)
        key = (kind, _network(address))
        budget = self._budgets.pop(key, None) or _Budget(BUDGET, now)
        left = _left(budget, now)
        logged = left >= 1 or not budget.limited
        self._budgets[key] = _Budget(max(0.0, left - 1), now, limited=left < 1)
        if len(self._budgets) > _MOST_ADDRESSES:
            self._budgets.popitem(last=False)
        return logged

    def undo(self, address: str, kind: LoginKind) -> None:
        """Take a failure back that was counted before it was known whether it would be one."""
        budget = self._budgets.get((kind, _network(address)))
        if budget is not None:
            budget.left = min(float(BUDGET), budget.left + 1)
        if self._recent:
            self._recent.pop()

    def many(self, now: float) -> bool:
        """Whether there were MANY failures within 5 minutes."""
        return len(self._recent) == MANY and now - self._recent[0] <= _WINDOW_S


def _left(budget: _Budget, now: float) -> float:
    return min(float(BUDGET), budget.left + (now - budget.at) / REFILL_S)


def _network(address: str) -> str:
    """The address; of IPv6 its /64, which belongs to one customer as a rule."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)
