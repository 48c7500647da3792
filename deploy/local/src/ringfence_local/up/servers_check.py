"""Checks a servers file before a start: every field is valid, and every secret is readable."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from ringfence_contracts.errors import BadInput
from ringfence_pbx.servers import SecretRef, Servers, load_servers


def servers_with_secrets(path: Path) -> Servers:
    """The servers of the file.

    Raises BadInput, which names the field and never a secret, if the file is unreadable, names no
    server, or refers to a secret that is missing. It is checked here because a service that lacks a
    secret would be restarted again and again.
    """
    if not path.exists():
        expected = "a TOML file that is there: `ringfence init` writes one; docs/servers.md"
        raise BadInput("servers file", str(path), expected)
    try:
        servers = load_servers(path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            "servers file", str(path), f"a readable text file ({type(error).__name__})"
        ) from None
    if not servers.servers:
        raise BadInput("servers file", str(path), "at least one [servers.ID]; see docs/servers.md")
    for server_id, server in servers.servers.items():
        for field, reference in _secrets(server, server_id):
            _read(field, reference)
    return servers


def _read(field: str, reference: SecretRef) -> None:
    try:
        reference.read()
    except BadInput as error:
        raise BadInput(f"servers.{field}", error.value, error.expected) from None
    except (OSError, UnicodeDecodeError) as error:
        place = f"file {reference.file}"
        raise BadInput(
            f"servers.{field}", place, f"a file that this user may read ({type(error).__name__})"
        ) from None


def _secrets(value: object, place: str) -> Iterator[tuple[str, SecretRef]]:
    """Every reference to a secret in `value`, with its path in the file."""
    if isinstance(value, SecretRef):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, part in value:
            yield from _secrets(part, f"{place}.{name}")
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _secrets(part, f"{place}.{name}")
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from _secrets(part, f"{place}.{number}")
