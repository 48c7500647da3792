"""Webhooks: their file, the signature of a delivery, and the request that sends one.

The format is that of the Standard Webhooks specification, for which libraries exist.
"""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp

from notifier.operator.events import EVENT_TYPES
from ringfence_contracts.errors import BadInput

TIMEOUT_S = 10.0
_SHORTEST_SECRET = 16
_PREFIX = "whsec_"
_ANSWER_AT_MOST = 200
_NAMES = ("name", "url", "events", "secret_env", "secret_file")
_GONE = 410


@dataclass(frozen=True)
class Webhook:
    """A receiver. `events` are patterns of the event types that it gets, such as `balance.*`."""

    name: str
    url: str
    events: tuple[str, ...]
    secret: bytes = field(repr=False)

    def wants(self, event_type: str) -> bool:
        """Whether it gets events of this type."""
        return any(fnmatch.fnmatchcase(event_type, pattern) for pattern in self.events)


@dataclass(frozen=True)
class DeliveryResult:
    """The result of an attempt. `status` is the HTTP status, if any; `is_final`: do not retry."""

    delivered: bool
    status: int | None
    reason: str
    is_final: bool = False


def sign(secret: bytes, delivery_id: UUID, at: datetime, body: str) -> dict[str, str]:
    """The headers of a delivery: HMAC-SHA256 over its id, the time and the body."""
    seconds = str(int(at.timestamp()))
    signed = f"{delivery_id}.{seconds}.{body}".encode()
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": str(delivery_id),
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{signature}",
    }


async def post(
    http: aiohttp.ClientSession, webhook: Webhook, delivery_id: UUID, body: str, now: datetime
) -> DeliveryResult:
    """Send a delivery once. Redirects are not followed; 2xx is success, 410 ends all attempts."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ringfence-webhooks/1",
        "Accept-Encoding": "identity",
        **sign(webhook.secret, delivery_id, now, body),
    }
    try:
        async with http.post(
            webhook.url,
            data=body.encode(),
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as answer:
            body_start = _printable(await answer.content.read(_ANSWER_AT_MOST))
            if answer.status // 100 == 2:
                return DeliveryResult(True, answer.status, "")
            reason = f"answered {answer.status}: {body_start}".rstrip(": ")
            return DeliveryResult(False, answer.status, reason, is_final=answer.status == _GONE)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return DeliveryResult(False, None, _printable(f"{type(error).__name__}: {error}".encode()))


def _printable(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)[:_ANSWER_AT_MOST]


def read_webhooks(path: Path, environment: Mapping[str, str] = os.environ) -> list[Webhook]:
    """The webhooks of a TOML file. Raises BadInput, which names the webhook and what is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        expected = f"a TOML file of [[webhook]] tables ({error})"
        raise BadInput("notifier_webhooks_file", str(path), expected) from None
    tables = content.get("webhook", [])
    if set(content) - {"webhook"} or not isinstance(tables, list):
        raise BadInput("webhooks file", sorted(content), "nothing but tables [[webhook]]")
    found = [_webhook(table, number, environment) for number, table in enumerate(tables, 1)]
    names = [webhook.name for webhook in found]
    for name in names:
        if names.count(name) > 1:
            raise BadInput("webhook name", name, "a name that no other webhook has")
    return found


def _webhook(table: Any, number: int, environment: Mapping[str, str]) -> Webhook:
    if not isinstance(table, dict) or set(table) - set(_NAMES):
        given = sorted(table) if isinstance(table, dict) else table
        raise BadInput(f"webhook {number}", given, f"a table of {', '.join(_NAMES)}")
    name, url = table.get("name"), table.get("url")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 100:
        raise BadInput(f"webhook {number}: name", name, "a name of at most 100 characters")
    where = f"webhook {name!r}"
    return Webhook(
        name,
        _url(where, url),
        _events(where, table.get("events", ["*"])),
        _secret(where, table, environment),
    )


def _url(where: str, url: Any) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    secure = parts is not None and parts.scheme == "https"
    near = parts is not None and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts is None or not parts.hostname or not (secure or (parts.scheme == "http" and near)):
        # An address can hold a token, so it is not shown.
        shown = parts.hostname if parts else url
        raise BadInput(f"{where}: url", shown, "an https address (http only to this machine)")
    if parts.username or parts.password:
        raise BadInput(f"{where}: url", parts.hostname, "an address without user and password")
    return str(url)


def _events(where: str, patterns: Any) -> tuple[str, ...]:
    known = ", ".join(EVENT_TYPES)
    if not isinstance(patterns, list) or not patterns:
        raise BadInput(f"{where}: events", patterns, f"a list of {known}, or patterns such as *")
    for pattern in patterns:
        if not isinstance(pattern, str) or not fnmatch.filter(EVENT_TYPES, pattern):
            raise BadInput(f"{where}: events", pattern, f"a pattern that fits one of {known}")
    return tuple(patterns)


def _secret(where: str, table: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    variable, file = table.get("secret_env"), table.get("secret_file")
    if (variable is None) == (file is None):
        raise BadInput(f"{where}: secret", "both or none", "secret_env or secret_file: one of them")
    if variable is not None:
        text = environment.get(str(variable), "")
    else:
        try:
            text = Path(str(file)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            expected = f"a file with the secret ({type(error).__name__})"
            raise BadInput(f"{where}: secret_file", str(file), expected) from None
    secret = _decoded(where, text)
    if len(secret) < _SHORTEST_SECRET:
        raise BadInput(
            f"{where}: secret", f"{len(secret)} bytes", f"at least {_SHORTEST_SECRET} bytes"
        )
    return secret


def _decoded(where: str, text: str) -> bytes:
    """A secret as libraries read it: base64 after `whsec_`, else the text itself."""
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise BadInput(f"{where}: secret", "whsec_…", "base64 behind whsec_") from None
