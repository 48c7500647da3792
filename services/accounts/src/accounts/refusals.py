"""Errors that the API answers with 401, 404, 409, 412, 429, and several at once with 422. Pure."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from ringfence_contracts.errors import BadInput, Conflict, RingfenceError, shown

T = TypeVar("T")


class SeveralRefused(BadInput):
    """Several values of a request are refused (422); as one error, it is the first of them."""

    def __init__(self, errors: Sequence[BadInput]) -> None:
        first = errors[0]
        self.errors = tuple(errors)
        self.name = getattr(first, "name", first.field)
        super().__init__(first.field, first.value, first.expected)


class Refusals:
    """Collects the refused values of a request, so that one response names all of them."""

    def __init__(self) -> None:
        self.found: list[BadInput] = []

    def read(self, reader: Callable[[], T], default: T) -> T:
        """What `reader` returns; `default` where it raises BadInput, which is kept."""
        try:
            return reader()
        except BadInput as error:
            self.found.append(error)
            return default

    def check(self) -> None:
        """Raise what was collected: BadInput for one value, SeveralRefused for more."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise SeveralRefused(self.found)


class Unknown(RingfenceError):
    """A client, product, order, payment, package or tariff does not exist (404)."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: there is no {shown(value)}; {expected}")


class Clash(Conflict):
    """The request conflicts with what exists (409); nothing was changed."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: got {shown(value)}, but {expected}")


class LoginRefused(RingfenceError):
    """The name or password is wrong, or the link is not valid (401); never says which."""

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        self.value = None
        self.expected = expected
        super().__init__(f"the login is refused: expected {expected}")


class LoginsLimited(RingfenceError):
    """No login is looked at for `wait_s` seconds (429)."""

    def __init__(self, wait_s: float, why: str) -> None:
        self.wait_s = math.ceil(wait_s)
        super().__init__(f"{why}: wait {self.wait_s} s, then try again")


class Stale(RingfenceError):
    """The client is not at the version that the request expects (412); nothing was changed."""

    def __init__(self, expected_versions: Sequence[int], version: int | None) -> None:
        self.field = "If-Match"
        self.value = ", ".join(map(str, expected_versions))
        self.expected = "no client yet" if version is None else f"version {version}"
        now = "there is no such client" if version is None else f"the client is at {self.expected}"
        super().__init__(
            f"this change was made for version {self.value}, but {now} now; read it again"
        )


def unknown_client(account_id: str) -> Unknown:
    """No client has this account id."""
    return Unknown("client", account_id, "add it first, or look it up with `ringfence client list`")
