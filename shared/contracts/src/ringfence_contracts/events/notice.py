"""Mails to clients: sent or failed."""

from uuid import UUID

from ringfence_contracts.events.model import Count, EventData, Id, Instant, Text


class NoticeSent(EventData):
    """`notice.sent.v1`: an SMTP server took the mail."""

    message_id: UUID
    account_id: Id
    template: Text
    cause_id: UUID
    recipient: Text
    sent_at: Instant


class NoticeFailed(EventData):
    """`notice.failed.v1`: a mail was given up, or it is unknown whether the server took it."""

    message_id: UUID
    account_id: Id
    template: Text
    cause_id: UUID
    recipient: Text
    reason: Text
    attempts: Count
    failed_at: Instant
