"""What operators ask of a service that owns something."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from ringfence_contracts.events.model import EventData, Id, Instant, Text


class OperatorRequested(EventData):
    """`operator.requested.v1`: a command for one service, done at most once by its id.

    The owner, `service`, answers in the view `report.command`; every other reader passes it over.
    """

    request_id: UUID
    service: Id
    command: Id
    arguments: Annotated[dict[str, Text], Field(default_factory=dict, max_length=100)]
    requested_by: Text
    reason: Text = ""
    requested_at: Instant
