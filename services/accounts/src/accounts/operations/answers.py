"""The types of responses about operation: commands, alarms, the brake, the mode. Pure."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from accounts.answers import Answer, PageAnswer


class CommandAccepted(Answer):
    """A command was published; `GET /v1/commands/{request_id}` shows its result."""

    request_id: UUID


class CommandLine(Answer):
    """A command and the answer of its service."""

    request_id: UUID
    service: str
    command: str
    arguments: dict[str, str]
    requested_by: str
    reason: str
    requested_at: datetime
    state: str
    answer: str
    answered_at: datetime | None


class CommandPage(PageAnswer):
    """Commands, the newest first."""

    items: list[CommandLine]


class BrakeAnswer(Answer):
    """Whether suspensions for funds are paused, since when and why; `paused`: how many wait."""

    on: bool
    on_since: datetime | None
    cause: str | None
    paused: int


class AlarmLine(Answer):
    """One alarm."""

    service: str
    alarm_id: UUID
    key: str
    subject: str
    severity: Literal["warning", "critical"]
    message: str
    what_to_do: str
    account_id: str | None
    raised_at: datetime
    ended_at: datetime | None
    state: Literal["open", "ended"]


class AlarmPage(PageAnswer):
    """Alarms, the newest first."""

    items: list[AlarmLine]


class ModeCounts(Answer):
    """The mode of new clients, and how many clients are in each mode."""

    default: Literal["live", "shadow"]
    live: int
    shadow: int
    without_posting: int
