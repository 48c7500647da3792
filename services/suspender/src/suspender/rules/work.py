"""Work that is due on a server, and the results of a batch: data between worker and store."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ringfence_contracts.events.account import Service
from suspender.rules.account import AccountState
from suspender.rules.elements import Element, SwitchedOffRecord
from suspender.rules.service_state import ServiceState


class DueService(NamedTuple):
    """A service whose desired state is not confirmed. `attempts`: failed attempts so far.

    `failure_published_seq`: the `wanted_seq` for which the failure was published last.
    """

    account: AccountState
    service: ServiceState
    wanted_at: datetime
    attempts: int
    failure_published_seq: int


class LooseElement(NamedTuple):
    """An element on record that may have to be switched although no service is due for it.

    `product` is its owner's. `is_due`: its owner, or a service that names it, is due.
    """

    server_id: str
    record: SwitchedOffRecord
    product: Service
    attempts: int
    is_alarm_raised: bool
    is_unconfirmed: bool
    is_due: bool


class ConfirmedService(NamedTuple):
    """A service whose desired state was read back from the PBX."""

    due: DueService
    evidence: str
    proven: bool = True
    ended_calls: tuple[str, ...] = ()


class FailedService(NamedTuple):
    """An attempt that failed. `publish`: service.suspension-failed and its alarm are due."""

    due: DueService
    reason: str
    again_at: datetime
    publish: bool


class FailedElement(NamedTuple):
    """A loose element that could not be switched. `raises`: its alarm is due."""

    row: LooseElement
    reason: str
    again_at: datetime
    off: bool
    raises: bool


@dataclass
class BatchResult:
    """The results of a batch on one server. `off` and `released` were read back."""

    server_id: str
    confirmed: Sequence[ConfirmedService] = ()
    failed: Sequence[FailedService] = ()
    off: Collection[Element] = ()
    released: Collection[Element] = ()
    loose_failed: Sequence[FailedElement] = ()
