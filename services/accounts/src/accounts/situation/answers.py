"""The types of responses about the situation. Pure."""

from datetime import datetime
from uuid import UUID

from accounts.answers import Answer


class BurnAnswer(Answer):
    """How fast a client uses its credit, and when it is out at this pace.

    `pace` is a day's: the mean of the last 7 days, or the last 24 hours where that was faster.
    `out_at` is null where that is more than a year away.
    """

    account_id: str
    currency: str
    day_micro: int
    day: str
    week_micro: int
    week: str
    pace_micro: int
    pace: str
    credit_micro: int
    credit: str
    out_at: datetime | None


class NeedyClient(Answer):
    """A client as the list of who needs help first shows it; `kind` says why."""

    account_id: str
    name: str
    kind: str
    currency: str
    balance_micro: int
    balance: str
    threshold_micro: int | None
    credit_limit_micro: int
    last_error: str
    burn: BurnAnswer


class UnratedSituation(Answer):
    """The calls that wait for a price: how many, their talk time, since when, and why."""

    calls: int
    talk_s: int
    oldest_at: datetime | None
    reasons: dict[str, int]


class MoneySituation(Answer):
    """What was charged and paid in since midnight of the zone asked for, by currency."""

    currency: str
    charged_micro: int
    charged: str
    paid_in_micro: int
    paid_in: str


class OpenAlarm(Answer):
    """An alarm that has not ended."""

    alarm_id: UUID
    severity: str
    message: str
    what_to_do: str
    account_id: str | None
    raised_at: datetime


class Situation(Answer):
    """Clients by what is the matter with them, and what needs a person.

    `kinds` counts clients: failed, off, would be off, exhausted, switching, metered, low, ok.
    `mails` counts those that failed or are in doubt, `dead` the records that could not be read.
    """

    at: datetime
    kinds: dict[str, int]
    unrated: UnratedSituation
    money: list[MoneySituation]
    alarms: int
    critical: int
    dead: int
    mails: int
    brake: bool
    clients: list[NeedyClient]
