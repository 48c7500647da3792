"""The events that report what became of a mail: `notice.sent` or `notice.failed`."""

from datetime import datetime

from notifier.attempts import Fate
from notifier.store import Queued
from ringfence.events.notice import NoticeFailed, NoticeSent
from ringfence.ids import derive
from ringfence.kafka.records import Outgoing
from ringfence.topics import NOTICE_FAILED, NOTICE_SENT


def announced(message: Queued, fate: Fate, now: datetime) -> list[Outgoing]:
    """The event of a message's fate; none while it is tried again.

    A mail to the operator about no client, or about several, has none: the topics are keyed by
    account.
    """
    if not fate.is_told or message.account_id is None:
        return []
    what = {
        "message_id": message.message_id,
        "account_id": message.account_id,
        "template": message.template,
        "cause_id": message.cause_id,
        "recipient": message.recipient,
    }
    sent = fate.state == "sent"
    topic = NOTICE_SENT if sent else NOTICE_FAILED
    data = (
        NoticeSent(**what, sent_at=now)
        if sent
        else NoticeFailed(**what, reason=_reason(fate), attempts=fate.attempts, failed_at=now)
    )
    return [
        Outgoing(
            topic=topic,
            key=message.account_id,
            value=data.to_json(),
            event_id=derive(topic.name, message.message_id, fate.attempts),
            time=now,
            source="notifier",
            subject=str(message.message_id),
            correlation_id=message.correlation_id,
        )
    ]


def _reason(fate: Fate) -> str:
    return f"in doubt: {fate.reason}" if fate.state == "in-doubt" else fate.reason
