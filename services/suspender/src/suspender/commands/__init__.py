"""Operators' commands to the suspender: a handler for each name."""

from collections.abc import Mapping

from suspender.commands.brake import release_brake, undo_brake
from suspender.commands.command import CommandHandler
from suspender.commands.inventory import read_inventory
from suspender.commands.server import pause_server, resume_server
from suspender.commands.service import reapply, release

COMMANDS: Mapping[str, CommandHandler] = {
    "brake.release": release_brake,
    "brake.undo": undo_brake,
    "inventory.read": read_inventory,
    "server.pause": pause_server,
    "server.resume": resume_server,
    "service.reapply": reapply,
    "service.release": release,
}
