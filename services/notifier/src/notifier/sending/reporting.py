"""Logs and counts the decision about each mail and its outcome."""

import structlog

from notifier.metrics import MAILS
from notifier.owed.decision import Drop, MailDecision, Send, Wait
from notifier.owed.notice import MailNotice
from notifier.sending.attempts import DeliveryOutcome
from notifier.store import OwedMail

log = structlog.get_logger()


def report(owed: OwedMail, outcome: DeliveryOutcome) -> None:
    """Report the outcome of an attempt; `deferred` if the mail is retried."""
    name = "deferred" if outcome.state == "waiting" else outcome.state
    MAILS.labels(owed.notice.template, name).inc()
    write = log.info if outcome.state == "sent" else log.warning
    write(f"mail {name}", **_facts(owed.notice), attempts=outcome.attempts, reason=outcome.reason)


def report_decision(notice: MailNotice, outcome: MailDecision) -> None:
    """Report that a mail is due, waits, or is dropped."""
    if isinstance(outcome, Send):
        log.info("mail due", **_facts(notice))
    elif isinstance(outcome, Wait):
        until = outcome.until.isoformat() if outcome.until else None
        log.info("mail waits", **_facts(notice), reason=outcome.reason, until=until)
    elif isinstance(outcome, Drop):
        MAILS.labels(notice.template, "dropped").inc()
        log.info("mail dropped", **_facts(notice), reason=outcome.reason)


def _facts(notice: MailNotice) -> dict[str, object]:
    return {
        "message_id": str(notice.message_id),
        "account_id": notice.account_id,
        "template": notice.template,
        "correlation_id": notice.correlation_id,
    }
