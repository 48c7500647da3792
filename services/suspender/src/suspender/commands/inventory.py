"""Reads the inventory of a server at once."""

from suspender.commands.command import Command, CommandAnswer, argument
from suspender.upkeep.store_inventory import request_read


async def read_inventory(command: Command) -> CommandAnswer:
    """`inventory.read` {server_id}: the server is read at once, even if it is paused."""
    server_id = argument(command, "server_id", "the id of a server")
    refusal = await request_read(command.transaction.connection, server_id, command.now)
    if refusal:
        return CommandAnswer("refused", refusal)
    return CommandAnswer("done", f"server {server_id}: what it has is read now")
