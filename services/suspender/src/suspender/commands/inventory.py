"""A server is listed again now, and not at its hour."""

from suspender.commands.command import Command, CommandAnswer, argument
from suspender.upkeep.store_inventory import request_read


async def read_inventory(command: Command) -> CommandAnswer:
    """`inventory.read` {server_id}: what the server has is read, though it may be paused."""
    server_id = argument(command, "server_id", "the id of a server")
    refusal = await request_read(command.transaction.connection, server_id, command.now)
    if refusal:
        return CommandAnswer("refused", refusal)
    return CommandAnswer("done", f"server {server_id}: what it has is read now")
