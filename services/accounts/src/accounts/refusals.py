"""What the front door answers when it can not do what was asked: unknown things, clashes."""

from ringfence.errors import Conflict, RingfenceError, shown


class Unknown(RingfenceError):
    """There is no such client, product, package or tariff."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: there is no {shown(value)}; {expected}")


class Clash(Conflict):
    """What was asked contradicts what stands already; nothing was changed."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: got {shown(value)}, but {expected}")


def unknown_client(account_id: str) -> Unknown:
    """No client has this account id."""
    return Unknown("client", account_id, "create it with PUT /v1/clients/{account_id}")
