"""The settings of the operator's channels."""

import re
from datetime import time
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from notifier.form.settings import FormSettings
from notifier.operator.webhooks import Webhook, read_webhooks
from ringfence_contracts.errors import BadInput

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


class OperatorSettings(FormSettings):
    """The part of the notifier's settings that the digest, webhooks and chat need."""

    notifier_digest_at: str = Field(
        "",
        description="time of the daily digest on the operator's clock, such as 07:00; blank: none",
    )
    notifier_webhooks_file: Path | None = Field(
        None, description="TOML file of webhooks (docs/webhooks.md); none: no webhooks"
    )
    notifier_chat_urls: SecretStr = Field(
        SecretStr(""),
        description="apprise addresses for chat and SMS, with blanks between them; alarms go there",
    )
    notifier_chat_urls_file: Path | None = Field(
        None, description="a file with such addresses, one a line, read besides"
    )
    notifier_chat_severity: Literal["warning", "critical"] = Field(
        "warning", description="which alarms go to chat: all (warning), or critical ones"
    )
    notifier_delivery_days: int = Field(
        30, ge=1, le=3650, description="days that the log of webhooks and chat goes back"
    )

    @field_validator("notifier_digest_at")
    @classmethod
    def _a_time(cls, value: str) -> str:
        if value and not _TIME.fullmatch(value):
            raise BadInput("time", value, "hours and minutes such as 07:00")
        return value

    def digest_at(self) -> time | None:
        """The local time of the daily digest; None: there is no digest."""
        found = _TIME.fullmatch(self.notifier_digest_at)
        return time(int(found[1]), int(found[2])) if found else None

    def webhooks(self) -> list[Webhook]:
        """All webhooks. Raises BadInput if the file is invalid."""
        path = self.notifier_webhooks_file
        return read_webhooks(path) if path else []

    def chat_urls(self) -> list[str]:
        """All apprise addresses, which contain secrets. Raises BadInput for an unreadable file."""
        urls = self.notifier_chat_urls.get_secret_value().split()
        path = self.notifier_chat_urls_file
        if path is None:
            return urls
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            expected = f"a file of apprise addresses ({type(error).__name__})"
            raise BadInput("notifier_chat_urls_file", str(path), expected) from None
        kept = (line.strip() for line in lines)
        return urls + [line for line in kept if line and not line.startswith("#")]
