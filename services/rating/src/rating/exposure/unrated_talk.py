"""Talk time that nobody was charged for yet, and when it is worth an alarm. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.money import format_micro

CLIENT_ALARM = "unrated-exposure"
"""The key of the alarm about a client's calls; its subject is the account's id."""

PRODUCT_ALARM = "calls-without-product"
"""The key of the alarm about calls that no product has; its subject is `<server>/<tenant>`."""

MUCH_S = 30 * 60
"""More unrated talk than this within `WITHIN` raises a client's alarm, whatever it is worth."""

WITHIN = timedelta(hours=24)


class ClientTalk(NamedTuple):
    """What waits of one product of a client: calls with talk time, and since when.

    `recent_s` is the talk of calls that began within `WITHIN`.
    """

    account_id: str
    service_id: str
    calls: int
    talk_s: int
    recent_s: int
    since: datetime
    reasons: tuple[str, ...]


class ClientExposure(NamedTuple):
    """What waits of a client. `value_micro`: at the dearest rates of his tariffs, None if unknown.

    `credit_micro` is None for a client without a prepaid product, for whom it sets no limit.
    """

    account_id: str
    calls: int
    talk_s: int
    recent_s: int
    since: datetime
    reasons: tuple[str, ...]
    value_micro: int | None
    credit_micro: int | None
    currency: str

    @property
    def is_alarming(self) -> bool:
        """Whether it may exceed the credit, or is much for a day."""
        if self.recent_s > MUCH_S:
            return True
        if self.value_micro is None or self.credit_micro is None:
            return False
        return self.value_micro > max(0, self.credit_micro)


class TenantTalk(NamedTuple):
    """Calls with talk time of a tenant that belong to no product, or to several."""

    server_id: str
    tenant: str
    calls: int
    talk_s: int
    since: datetime


def client_text(exposure: ClientExposure, client: str, numbers: Sequence[str]) -> AlarmText:
    """The alarm about a client's unrated calls; `numbers` are some that were called."""
    value = ""
    if exposure.value_micro is not None:
        amount = format_micro(exposure.value_micro)
        value = f", at most {amount} {exposure.currency} at the dearest rate of the tariff"
    if exposure.credit_micro is not None:
        value += f"; the credit is {format_micro(exposure.credit_micro)} {exposure.currency}"
    account_id = exposure.account_id
    return AlarmText(
        message=(
            f"{_calls(exposure.calls)} of client {client or account_id} ({account_id}) wait"
            f" unrated, {_minutes(exposure.talk_s)} of talk, {_minutes(exposure.recent_s)} of it"
            f" within a day{value}. The first since {_at(exposure.since)}; reasons:"
            f" {', '.join(exposure.reasons)}; numbers: {', '.join(numbers)}"
        ),
        what_to_do=(
            "ringfence unrated shows each call and why it waits. Correct the cause, then:"
            " ringfence unrated replay --all. Until then the calls cost the client nothing:"
            f" ringfence suspend {account_id} stops further ones. See the runbook unrated-calls."
        ),
        severity="critical",
        account_id=account_id,
    )


def product_text(talk: TenantTalk, tenant: str, numbers: Sequence[str]) -> AlarmText:
    """The alarm about calls without a product; `numbers` are some extensions and DIDs."""
    of = "several tenants" if tenant == "*" else f"tenant {tenant}"
    return AlarmText(
        message=(
            f"{_calls(talk.calls)} of {of} on {talk.server_id}, {_minutes(talk.talk_s)} of talk,"
            f" belong to no single product, and nobody is charged. The first since"
            f" {_at(talk.since)}. Extensions and DIDs: {', '.join(numbers)}"
        ),
        what_to_do=(
            "Name them in a product: ringfence product set, with a range such as 2100-2199, or"
            " with * for the rest of the tenant. ringfence doctor lists the extensions and DIDs of"
            f" the PBX that no product has. Then: ringfence unrated replay --tenant {tenant}."
            " See the runbook unrated-calls."
        ),
        severity="warning",
    )


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60} s"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
