"""A service as the suspender stores it: its desired state, and the state read back from the PBX."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ringfence_contracts.events.account import Service
from ringfence_contracts.events.service import Hold
from suspender.rules.elements import ServiceKey
from suspender.rules.suspension import Desired, SwitchState


@dataclass
class ServiceState:
    """A row of a service.

    `would` is the state that the holds demand, `wanted` the desired state of the PBX; they differ
    in shadow mode. `wanted_seq` counts the changes of `wanted`, `reason_seq` the changes of reason
    since the last of them. Work is due while `wanted_seq` is larger than `confirmed_seq`.

    `product` is its last content. `departed`: the account no longer has the product; the row stays,
    so that the sequence continues if the product returns. `elements_changed`: the elements that it
    names changed since it was last to be off. `release_version`: with this version of the profile,
    the elements that left the product are released (0: no release was requested). `adopts`: what
    is off when it is first switched counts as switched off by us (it was, by an earlier system).
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

    def confirmation_at(self, now: datetime) -> datetime:
        """The instant of a confirmation now: after the last one, even if the clock was set back.

        Readers put confirmations in order by it: the topics of off and on have no common order.
        """
        if self.confirmed_at is None:
            return now
        return max(now, self.confirmed_at + timedelta(microseconds=1))

    @property
    def is_due(self) -> bool:
        """Whether `wanted` has not been confirmed yet."""
        return self.wanted_seq > self.confirmed_seq

    @property
    def is_off_for_funds_alone(self) -> bool:
        """Whether it is to be off by the funds hold, and by nothing else."""
        return self.wanted == "suspended" and self.holds == ("funds",)

    @property
    def is_confirmed_off(self) -> bool:
        """Whether it is confirmed off and is to stay off."""
        return self.wanted == self.confirmed == "suspended" and not self.is_due


Services = dict[str, ServiceState]
"""The services of one account by id, including those whose product the account no longer has."""
