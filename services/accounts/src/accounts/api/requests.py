"""What is asked of the suspender, and the form in which that is answered."""

from uuid import UUID

from pydantic import BaseModel

from accounts.api.rooms import Rooms


class Requested(BaseModel):
    """A command was published; `GET /v1/commands/{request_id}` shows what became of it."""

    request_id: UUID


async def requested(
    rooms: Rooms, command: str, arguments: dict[str, str], who: str, reason: str
) -> Requested:
    """Ask the suspender for something that it does once, and answers later."""
    request_id = await rooms.operations.ask("suspender", command, arguments, who, reason)
    return Requested(request_id=request_id)
