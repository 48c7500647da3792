"""Requests for jobs of rating, and the arguments by which they are published."""

import re
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from accounts.api.bodies import Body
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id, Text

_MOST_CALLS = 25
"""As many ids as fit into one argument of a command."""

_CALL = re.compile(r"[0-9a-f-]{4,36}", re.ASCII)


def _day_or_instant(text: str) -> str:
    try:
        datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            "a day such as 2026-11-01, or an instant such as 2026-11-01T00:00-05:00"
        ) from None
    return text.strip()


def _call(text: str) -> str:
    prefix = text.strip().lower()
    if not _CALL.fullmatch(prefix):
        raise ValueError("a call's id, or at least its first 4 digits")
    return prefix


PeriodEnd = Annotated[str, Field(max_length=40), AfterValidator(_day_or_instant)]
"""A day or an instant; without an offset it is read in each client's own time zone."""

WaitS = Annotated[float, Field(ge=0, le=600)]
CallPrefix = Annotated[str, Field(max_length=50), AfterValidator(_call)]


class VerificationBody(Body):
    """What is verified: the books and the funds holds; with `replay` the topics too.

    What is on its way between services gets `wait_s` seconds to arrive. The ledger is read from the
    last checkpoints on, with `full` from its beginning.
    """

    wait_s: WaitS = 10.0
    replay: bool = False
    full: bool = False

    def arguments(self) -> dict[str, str]:
        """The arguments of the job."""
        replay, full = ("yes" if each else "no" for each in (self.replay, self.full))
        return {"wait_s": str(self.wait_s), "replay": replay, "full": full}


class RerateBody(Body):
    """Charges by `tariff` for calls answered from `from` on and before `to`.

    They are priced by `version` of the tariff. Without `apply` nothing is written.
    """

    tariff: Id
    version: int = Field(ge=1, le=999_999_999)
    from_: PeriodEnd = Field(alias="from")
    to: PeriodEnd
    account: Id | None = None
    apply: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        start, end = datetime.fromisoformat(self.from_), datetime.fromisoformat(self.to)
        if (start.tzinfo is None) == (end.tzinfo is None) and _aware(end) <= _aware(start):
            raise BadInput("to", self.to, f"a day or an instant after {self.from_}")
        return self

    def arguments(self) -> dict[str, str]:
        """The arguments of the job."""
        order = {
            "tariff": self.tariff,
            "version": str(self.version),
            "from": self.from_,
            "to": self.to,
        }
        return order if self.account is None else order | {"account": self.account}


class ReplayBody(Body):
    """The unrated calls that are tried again: those that meet each given condition, or all.

    `calls` are ids or their first characters. The outcome is awaited for `wait_s` seconds.
    """

    calls: tuple[CallPrefix, ...] = Field((), max_length=_MOST_CALLS)
    reason: Text | None = None
    tenant: Text | None = None
    all: bool = False
    wait_s: WaitS = 30.0

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        chosen = bool(self.calls or self.reason or self.tenant)
        if chosen == self.all:
            raise BadInput(
                "all", self.all, "true, or calls, a reason or a tenant: all goes with none of them"
            )
        return self

    def arguments(self) -> dict[str, str]:
        """The arguments of the job."""
        given = {
            "calls": ",".join(self.calls),
            "reason": self.reason or "",
            "tenant": self.tenant or "",
            "wait_s": str(self.wait_s),
        }
        return {name: value for name, value in given.items() if value}


class RowDropBody(Body):
    """The rows of the unrated queue to drop, by their ids or first characters, and why.

    Only rows that their PBX does not confirm can be dropped.
    """

    rows: tuple[CallPrefix, ...] = Field(min_length=1, max_length=_MOST_CALLS)
    reason: Text = Field(min_length=1)

    def arguments(self) -> dict[str, str]:
        """The arguments of the job."""
        return {"rows": ",".join(self.rows), "why": self.reason}


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
