"""Pauses a server for maintenance, and resumes it."""

from datetime import datetime

from suspender.commands.command import Command, CommandAnswer, CommandRefused, argument
from suspender.commands.store_pauses import Pause, pause, resume

_INSTANT = "an instant with its zone that is still to come, such as 2026-12-01T06:00:00Z"


async def pause_server(command: Command) -> CommandAnswer:
    """`server.pause` {server_id, until?}: nothing is switched there until then or until resumed."""
    server_id = argument(command, "server_id", "the id of a server")
    until = _until(command)
    request = command.request
    row = Pause(server_id, command.now, until, request.requested_by, request.reason)
    await pause(command.transaction.connection, row)
    end = f"until {until:%Y-%m-%d %H:%M}Z" if until else "until it is resumed"
    return CommandAnswer("done", f"server {server_id} is paused {end}: nothing is sent to it")


async def resume_server(command: Command) -> CommandAnswer:
    """`server.resume` {server_id}: waiting work is carried out."""
    server_id = argument(command, "server_id", "the id of a server")
    if not await resume(command.transaction.connection, server_id, command.now):
        raise CommandRefused(f"server {server_id} is not paused")
    return CommandAnswer("done", f"server {server_id} is resumed: what waited is switched now")


def _until(command: Command) -> datetime | None:
    text = command.request.arguments.get("until", "").strip()
    if not text:
        return None
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        raise CommandRefused(f"until: got {text}, expected {_INSTANT}") from None
    if until.tzinfo is None or until <= command.now:
        raise CommandRefused(f"until: got {text}, expected {_INSTANT}")
    return until
