"""Alarms: problems that need a person, raised once and ended when they are over."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ringfence_contracts.events.model import EventData, Id, Instant, Text

Severity = Literal["warning", "critical"]


@dataclass(frozen=True)
class AlarmText:
    """The text of an alarm: the problem, and what the operator can do."""

    message: str
    what_to_do: str
    severity: Severity = "warning"
    account_id: str | None = None


class Alarm(EventData):
    """`<service>.alarm.v1`: a problem that needs an operator, or the end of it.

    `key` is the kind, such as `brake`, and `subject` what it is about: an alarm is raised once for
    each pair, and may be raised again after it ended, under another `alarm_id`. `message` describes
    the problem, `what_to_do` what ends it. `raised_at` is the same in both records of an alarm.
    """

    alarm_id: UUID
    service: Id
    key: Id
    subject: Text
    severity: Severity
    state: Literal["raised", "ended"]
    message: Text
    what_to_do: Text
    account_id: Id | None = None
    raised_at: Instant
    ended_at: Instant | None = None
