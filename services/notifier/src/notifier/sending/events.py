"""The events that report the outcome of a mail: `notice.sent` or `notice.failed`."""

from datetime import datetime

from notifier.sending.attempts import DeliveryOutcome
from notifier.store import OwedMail
from ringfence_contracts.events.notice import NoticeFailed, NoticeSent
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import NOTICE_FAILED, NOTICE_SENT


def events_of(owed: OwedMail, outcome: DeliveryOutcome, now: datetime) -> list[Outgoing]:
    """The event of a mail's outcome, or an empty list while the mail is retried.

    There is none for a mail to the operator about no client or several: the topics are keyed by
    account.
    """
    notice = owed.notice
    if not outcome.is_published or notice.account_id is None:
        return []
    facts = {
        "message_id": notice.message_id,
        "account_id": notice.account_id,
        "template": notice.template,
        "cause_id": notice.cause_id,
        "recipient": owed.recipient,
    }
    sent = outcome.state == "sent"
    topic = NOTICE_SENT if sent else NOTICE_FAILED
    data = (
        NoticeSent(**facts, sent_at=now)
        if sent
        else NoticeFailed(
            **facts, reason=_reason(outcome), attempts=outcome.attempts, failed_at=now
        )
    )
    return [
        Outgoing(
            topic=topic,
            key=notice.account_id,
            value=data.to_json(),
            event_id=derive(topic.name, notice.message_id, outcome.attempts),
            time=now,
            source="notifier",
            subject=str(notice.message_id),
            correlation_id=notice.correlation_id,
        )
    ]


def _reason(outcome: DeliveryOutcome) -> str:
    return f"in doubt: {outcome.reason}" if outcome.state == "in-doubt" else outcome.reason
