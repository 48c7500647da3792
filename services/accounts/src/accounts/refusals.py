"""The errors that the API answers with 404, 409 and 412. Pure."""

from collections.abc import Sequence

from ringfence_contracts.errors import Conflict, RingfenceError, shown


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
