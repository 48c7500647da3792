"""What is asked of the suspender, and the form in which that is answered."""

from uuid import UUID

from pydantic import BaseModel

from accounts.api.dependencies import Dependencies


class Requested(BaseModel):
    """A command was published; `GET /v1/commands/{request_id}` shows what became of it."""

    request_id: UUID


async def publish_request(
    deps: Dependencies, command: str, arguments: dict[str, str], who: str, reason: str
) -> Requested:
    """Ask the suspender for something that it does once, and answers later."""
    request_id = await deps.operations.publish_command("suspender", command, arguments, who, reason)
    return Requested(request_id=request_id)
