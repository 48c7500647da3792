"""What every switch can do: say whether a service is on, turn it off, turn it on again."""

from enum import StrEnum
from typing import Protocol

from ringfence.events.account import Service


class SwitchState(StrEnum):
    """What a server has stored of a service: `mixed` when some of its parts are off."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    MIXED = "mixed"


class Switch(Protocol):
    """One server's services.

    `suspend` and `restore` may be called in any state and any number of times: they do what is
    missing, and what may have been left undone by somebody who was killed half way. They return
    the evidence that the server, read back, shows the wanted state: a short text for people.

    Errors: Retry when the server is unwell or does not yet show the wanted state, OperatorMustAct
    when trying again is of no use.
    """

    async def read(self, service: Service) -> SwitchState:
        """What the server has stored now. Changes nothing."""
        ...

    async def suspend(self, service: Service) -> str:
        """Turn the service off, and read it back."""
        ...

    async def restore(self, service: Service) -> str:
        """Turn the service on, and read it back."""
        ...
