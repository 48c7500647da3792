"""Commands of operators to one service."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from ringfence_contracts.events.model import EventData, Id, Instant, Text


class OperatorRequested(EventData):
    """`operator.requested.v1`: a command for one service, executed at most once for each id.

    `service` answers in the view `report.command`; every other reader ignores the record.
    """

    request_id: UUID
    service: Id
    command: Id
    arguments: Annotated[dict[str, Text], Field(default_factory=dict, max_length=100)]
    requested_by: Text
    reason: Text = ""
    requested_at: Instant
