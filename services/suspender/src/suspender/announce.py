"""What the suspender tells: the same cause always gives the same id."""

from datetime import datetime

from ringfence.events.service import ServiceRestored, ServiceSuspended, ServiceSuspensionFailed
from ringfence.ids import derive
from ringfence.kafka.records import Outgoing
from ringfence.topics import SERVICE_RESTORED, SERVICE_SUSPENDED, SERVICE_SUSPENSION_FAILED, Topic
from suspender.store import Due


def confirmed(due: Due, evidence: str, now: datetime, mail: bool) -> Outgoing:
    """`service.suspended.v1` or `service.restored.v1`; `mail`: the zero-balance mail is owed."""
    facts = {
        "account_id": due.account_id,
        "service_id": due.service_id,
        "server_id": due.server_id,
        "mode": due.mode,
        "cause_id": due.cause_id,
        "confirmed_at": now,
        "evidence": evidence[:1000],
    }
    if due.wanted == "active":
        return _outgoing(
            SERVICE_RESTORED, due, ServiceRestored.model_validate(facts).to_json(), now
        )
    facts |= {
        "zero_mail": mail,
        "balance_micro": due.balance_micro,
        "outstanding_micro": due.profile.outstanding_micro,
        "currency": due.profile.currency,
    }
    return _outgoing(SERVICE_SUSPENDED, due, ServiceSuspended.model_validate(facts).to_json(), now)


def failed(due: Due, reason: str, now: datetime) -> Outgoing:
    """`service.suspension-failed.v1`."""
    event = ServiceSuspensionFailed(
        account_id=due.account_id,
        service_id=due.service_id,
        server_id=due.server_id,
        wanted=due.wanted,
        cause_id=due.cause_id,
        reason=reason[:1000],
        attempts=due.attempts + 1,
        failed_at=now,
    )
    return _outgoing(SERVICE_SUSPENSION_FAILED, due, event.to_json(), now)


def _outgoing(topic: Topic, due: Due, value: bytes, now: datetime) -> Outgoing:
    return Outgoing(
        topic=topic,
        key=due.account_id,
        value=value,
        event_id=derive(topic.name, due.account_id, due.service_id, due.wanted_seq),
        time=now,
        source="suspender",
        subject=due.service_id,
        correlation_id=due.correlation_id,
    )
