"""What is due on a server, and what came of a batch of it: plain data between worker and store."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ringfence_contracts.events.account import Service
from suspender.rules.account import AccountState
from suspender.rules.elements import Element, SwitchedOffRecord
from suspender.rules.service_state import ServiceState


class DueService(NamedTuple):
    """A service whose PBX does not say yet what is wanted. `attempts` have failed so far."""

    account: AccountState
    service: ServiceState
    wanted_at: datetime
    attempts: int
    failure_told_seq: int


class LooseElement(NamedTuple):
    """A record that no service's turn may take care of. `product` is its owner's.

    `is_due`: its owner is due, or a service that names it.
    """

    server_id: str
    record: SwitchedOffRecord
    product: Service
    attempts: int
    is_alarm_raised: bool
    is_unconfirmed: bool
    is_due: bool


class ConfirmedService(NamedTuple):
    """A service that the PBX shows as wanted."""

    due: DueService
    evidence: str
    proven: bool = True
    ended_calls: tuple[str, ...] = ()


class FailedService(NamedTuple):
    """An attempt that failed. `publish`: service.suspension-failed and the alarm are due too."""

    due: DueService
    reason: str
    again_at: datetime
    publish: bool


class FailedElement(NamedTuple):
    """A loose element that could not be switched. `raises`: the alarm is due."""

    row: LooseElement
    reason: str
    again_at: datetime
    off: bool
    raises: bool


@dataclass
class BatchResult:
    """What came of a batch on one server. `off` and `released` were read back."""

    server_id: str
    confirmed: Sequence[ConfirmedService] = ()
    failed: Sequence[FailedService] = ()
    off: Collection[Element] = ()
    released: Collection[Element] = ()
    loose_failed: Sequence[FailedElement] = ()
