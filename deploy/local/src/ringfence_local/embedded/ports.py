"""Ports: the wanted one, or another when it is taken."""

import socket

from ringfence_local.errors import StackError


def free_port(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """`wanted` if nothing listens on it, else any free TCP port of `host`."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError(f"{host} has no free TCP port")


def same_port(port: int) -> int:
    """`port`, which others know already. Raises StackError if another program took it."""
    if free_port(port) != port:
        raise StackError(f"another program uses port {port}: end it")
    return port
