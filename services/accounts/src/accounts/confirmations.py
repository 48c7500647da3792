"""Applies what the suspender confirms, or fails to do, to the client's profile."""

from collections.abc import Sequence

from accounts.clients.store_publishing import AuditEntry
from accounts.refusals import Unknown
from accounts.store import AccountStore
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_contracts.records import Outcome, Received, Rejected, parse
from ringfence_contracts.topics import (
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
)

TOPICS = (SERVICE_SUSPENDED, SERVICE_RESTORED, SERVICE_SUSPENSION_FAILED)
_CONFIRMED = {
    SERVICE_SUSPENDED.name: "is off, as read back from the PBX",
    SERVICE_RESTORED.name: "is on, as read back from the PBX",
    SERVICE_SUSPENSION_FAILED.name: "could not be switched",
}
"""The text of the audit entry for each event."""


class Confirmations:
    """Handles service.suspended, restored and suspension-failed.

    A change is published through the outbox in the transaction that also stores the event id. A
    duplicate record therefore changes and publishes nothing.
    """

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Apply each record by itself; reject one that can never be applied."""
        outcome = Outcome()
        for received in batch:
            try:
                await self._apply(received)
            except (Reject, Unknown) as reason:
                outcome.reject.append(Rejected(received, str(reason)))
        return outcome

    async def _apply(self, received: Received) -> None:
        event_id = received.event_id
        event, suspended, failure = read_confirmation(received)
        what = f"product {event.service_id} {_CONFIRMED[received.topic]}"
        await self._store.confirm(
            event_id,
            event.account_id,
            event.service_id,
            at=event.failed_at
            if isinstance(event, ServiceSuspensionFailed)
            else event.confirmed_at,
            suspended=suspended,
            client_wide=event.client_wide if isinstance(event, ServiceSuspended) else True,
            failure=failure,
            entry=AuditEntry("suspender", what, received.correlation_id),
            ended_calls=event.ended_calls if isinstance(event, ServiceSuspended) else (),
        )


Confirmation = ServiceSuspended | ServiceRestored | ServiceSuspensionFailed


def read_confirmation(received: Received) -> tuple[Confirmation, bool | None, str | None]:
    """The event, whether its service is now suspended (None: unchanged), and the failure."""
    if received.topic == SERVICE_SUSPENDED.name:
        return parse(ServiceSuspended, received), True, None
    if received.topic == SERVICE_RESTORED.name:
        return parse(ServiceRestored, received), False, None
    failed = parse(ServiceSuspensionFailed, received)
    action = "suspend" if failed.wanted == "suspended" else "restore"
    return failed, None, f"could not {action} after {failed.attempts} attempts: {failed.reason}"
