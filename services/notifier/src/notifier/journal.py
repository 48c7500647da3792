"""Says in the log and in the metrics what became of each mail."""

import structlog

from notifier.attempts import Fate
from notifier.metrics import MAILS
from notifier.notice import Message, State
from notifier.store import Queued

log = structlog.get_logger()


def report(message: Queued, state: State, fate: Fate | None = None) -> None:
    """A message left its queue, or was put back into it: `deferred`."""
    outcome = "deferred" if state == "pending" else state
    MAILS.labels(message.template, outcome).inc()
    say = log.info if state in ("sent", "superseded") else log.warning
    say(
        f"mail {outcome}",
        message_id=str(message.message_id),
        account_id=message.account_id,
        template=message.template,
        attempts=fate.attempts if fate else message.attempts,
        reason=fate.reason if fate else "",
        correlation_id=message.correlation_id,
    )


def report_added(message: Message) -> None:
    """A message was written for the first time: it is sent next, waits, or is not sent at all."""
    if message.state == "skipped":
        MAILS.labels(message.notice.template, "skipped").inc()
    log.info(
        f"mail {message.state}",
        message_id=str(message.notice.message_id),
        account_id=message.notice.account_id,
        template=message.notice.template,
        reason=message.reason,
        correlation_id=message.notice.correlation_id,
    )
