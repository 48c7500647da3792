"""Commands to the suspender that a route publishes, and their response."""

from uuid import UUID

from pydantic import BaseModel

from accounts.api.dependencies import Dependencies


class Requested(BaseModel):
    """A command was published; `GET /v1/commands/{request_id}` shows its result."""

    request_id: UUID


async def publish_request(
    deps: Dependencies, command: str, arguments: dict[str, str], who: str, reason: str
) -> Requested:
    """Publish a command to the suspender, which answers later."""
    request_id = await deps.operations.publish_command("suspender", command, arguments, who, reason)
    return Requested(request_id=request_id)
