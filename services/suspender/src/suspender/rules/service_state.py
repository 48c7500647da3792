"""A service as the suspender keeps it: what is desired of it, and what the PBX was read to say."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ringfence_contracts.events.account import Service
from ringfence_contracts.events.service import Hold
from suspender.rules.elements import ServiceKey
from suspender.rules.suspension import Desired, SwitchState


@dataclass
class ServiceState:
    """A row of a service.

    `would` is what the holds want, `wanted` what the PBX is to be now; they differ in shadow.
    `wanted_seq` counts the changes of `wanted`, `reason_seq` the changes of reason since the last
    of them. Work is due while `wanted_seq` is larger than `confirmed_seq`.

    `product` is what it last was. `departed`: the account has the product no more; the row stays,
    so that the sequence goes on if the product returns. `elements_changed`: what it names for
    switching changed since it was last to be off. `release_version`: with this version of the
    profile all that left the product is released (0: nothing is asked). `adopts`: what is off at
    its first turn was switched off by us, though by an earlier system.
    """

    account_id: str
    service_id: str
    server_id: str
    kind: str
    wanted: SwitchState
    wanted_seq: int = 0
    mode: str = "met"
    cause_id: UUID | None = None
    correlation_id: str = ""
    confirmed: SwitchState | None = None
    confirmed_seq: int = 0
    confirmed_at: datetime | None = None
    evidence: str = ""
    would: Desired = "leave"
    holds: tuple[Hold, ...] = ()
    client_wide: bool = True
    live: bool = True
    reason_seq: int = 0
    product: Service | None = None
    departed: bool = False
    elements_changed: bool = False
    release_version: int = 0
    adopts: bool = False
    proven: bool = True
    ended_calls: tuple[str, ...] = ()

    @property
    def key(self) -> ServiceKey:
        """Account and service."""
        return self.account_id, self.service_id

    @property
    def is_due(self) -> bool:
        """Whether the PBX has still to be brought to `wanted`."""
        return self.wanted_seq > self.confirmed_seq

    @property
    def is_confirmed_off(self) -> bool:
        """Whether it is off, and is to stay so."""
        return self.wanted == self.confirmed == "suspended" and not self.is_due


Services = dict[str, ServiceState]
"""The services of one account by their ids, those that departed among them."""
