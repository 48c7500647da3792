"""Services that were switched on a PBX, confirmed by reading it back."""

from typing import Literal
from uuid import UUID

from ringfence_contracts.events.model import (
    Currency,
    EventData,
    Id,
    Instant,
    Micro,
    Number,
    Text,
    Version,
)

Mode = Literal["manual", "exempt", "forced", "auto"]
"""The rule that decided (domain/billing, section 7, table a)."""

Hold = Literal["funds", "manual", "forced", "whmcs"]
"""A reason to keep a service off. Any one is enough (architecture, section 4)."""


class ServiceSuspended(EventData):
    """`service.suspended.v1`: the service is off, as read back from the PBX.

    Published again when the reason of a service that stays off changes. `holds` are the reasons,
    empty in records from before they were published; `client_wide` is false if all of them apply to
    this product alone. `zero_mail` is whether the client is owed the mail "VoIP Zero Balance": once
    for each funds hold (`hold` is its number, 0 if it is not known). `cause_id` is the event that
    caused the suspension, the same for all services of the account. `proven` is false if the server
    accepted the order but cannot be read back. `ended_calls` names the calls in progress that were
    ended, as `extension -> number`.
    """

    account_id: Id
    service_id: Id
    server_id: Id
    mode: Mode
    cause_id: UUID
    zero_mail: bool
    balance_micro: Micro | None
    outstanding_micro: Micro
    currency: Currency
    confirmed_at: Instant
    evidence: Text
    holds: tuple[Hold, ...] = ()
    client_wide: bool = True
    hold: Version = 0
    proven: bool = True
    ended_calls: tuple[Text, ...] = ()


class ServiceRestored(EventData):
    """`service.restored.v1`: the service is on again, as read back from the PBX.

    `proven` is false if the server accepted the order but cannot be read back.
    """

    account_id: Id
    service_id: Id
    server_id: Id
    mode: Mode
    cause_id: UUID
    confirmed_at: Instant
    evidence: Text
    proven: bool = True


class ServiceSuspensionFailed(EventData):
    """`service.suspension-failed.v1`: the PBX could not be switched to the desired state.

    Published once for each desired change, after the first attempts failed; retries go on.
    """

    account_id: Id
    service_id: Id
    server_id: Id
    wanted: Literal["suspended", "active"]
    cause_id: UUID
    reason: Text
    attempts: Number
    failed_at: Instant
