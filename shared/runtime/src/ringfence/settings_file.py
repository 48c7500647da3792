"""`ringfence.toml`: settings of the commands that run in its folder, such as `ringfence up`.

Each stands for a variable: `smtp_host` in `[notifier]` is RINGFENCE_NOTIFIER_SMTP_HOST. A variable
that is set takes precedence. The file holds no secrets, only the names of their files.
"""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ringfence.kafka.access.acls import CONSOLE
from ringfence.secret_files import SERVICES
from ringfence.settings import CommonSettings
from ringfence_contracts.errors import BadInput

NAME = "ringfence.toml"
_OF_SERVICES = tuple(f"{service.replace('-', '_')}_" for service in (*SERVICES, CONSOLE))
_SECRETS = ("unsubscribe_key", "client_link_key", "notifier_smtp_password", "accounts_tokens")


def load_settings_file(folder: Path, environment: MutableMapping[str, str]) -> None:
    """Add the settings of the file in `folder` to the environment, without overriding any.

    Raises BadInput for a file that another user may write, and for an unknown setting.
    """
    path = folder / NAME
    if not path.is_file():
        return
    _see_whose(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(NAME, str(path), f"a readable TOML file ({error})") from None
    for name, value in _flat(content):
        environment.setdefault(f"RINGFENCE_{name.upper()}", _text(name, value))


def _see_whose(path: Path) -> None:
    """Refuse a file that another user can write: it could send calls and secrets elsewhere."""
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        expected = "a file of this user, which nobody else may write (chmod 600)"
        raise BadInput(NAME, str(path.absolute()), expected)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        name = f"{prefix}{key}".replace("-", "_")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}_")
        else:
            yield name, value


def _text(name: str, value: object) -> str:
    if name not in CommonSettings.model_fields and not name.startswith(_OF_SERVICES):
        expected = "a setting of shared/README.md or of a service"
        raise BadInput(f"{NAME}: {name}", "(not shown)", expected)
    if name in _SECRETS or (name == "postgres_dsn" and urlsplit(str(value)).password):
        expected = "no secret in this file: name the secret's file"
        raise BadInput(f"{NAME}: {name}", "(not shown)", expected)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise BadInput(f"{NAME}: {name}", "(not shown)", "a text or a number")
    return str(value)
