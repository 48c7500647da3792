"""Orders: decisions of a person or WHMCS about a client, or about one of its products.

Pure functions over the stored orders of an account. An order whose `until` has passed counts as
absent. It is stored until another of its kind replaces it, so that a request body that was read
while it was in force can be recognized.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from accounts.typed.instants import in_utc, read_instant
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Order as PublishedOrder
from ringfence_contracts.events.account import OrderKind, YesNoNone

UNTIL = (
    "a date such as 2026-12-01 (the end of that day in the client's time zone), or an instant "
    "with its offset such as 2026-12-01T09:00:00-05:00, in the future"
)


class ClientOrder(PublishedOrder):
    """An order as it is stored; `by_field`: one of the two suspension fields gave it."""

    by_field: bool = False

    def in_force(self, now: datetime) -> bool:
        """Whether it has not ended at `now`."""
        return self.until is None or self.until > now

    def concerns(self, kind: OrderKind, service_id: str | None) -> bool:
        """Whether it is the order of this kind for this product (None: the whole client)."""
        return self.kind == kind and self.service_id == service_id


Orders = tuple[ClientOrder, ...]


@dataclass(frozen=True)
class Author:
    """Who writes, and when. `matched`: the request named the version that it had read."""

    who: str
    at: datetime
    matched: bool = False


def in_force(orders: Sequence[ClientOrder], now: datetime) -> Orders:
    """The orders in force at `now`."""
    return tuple(order for order in orders if order.in_force(now))


def find_order(
    orders: Sequence[ClientOrder], kind: OrderKind, service_id: str | None, now: datetime
) -> ClientOrder | None:
    """The order of this kind for this product (None: the whole client) in force at `now`."""
    return next((o for o in in_force(orders, now) if o.concerns(kind, service_id)), None)


def expired(
    orders: Sequence[ClientOrder], kind: OrderKind, service_id: str | None, now: datetime
) -> ClientOrder | None:
    """The order of this kind that ended by its date before `now`, if none replaced it."""
    ended = (o for o in orders if o.concerns(kind, service_id) and not o.in_force(now))
    return next(ended, None)


def give_order(orders: Sequence[ClientOrder], new: ClientOrder, now: datetime) -> Orders:
    """`orders` with `new` instead of the one of its kind and product.

    If that one is in force, `new` keeps its beginning, and its `by_field` where that is set.
    """
    old = find_order(orders, new.kind, new.service_id, now)
    if old is not None:
        kept = {"since": old.since, "by_field": old.by_field or new.by_field}
        new = new.model_copy(update=kept)
    return (*end_order(orders, new.kind, new.service_id), new)


def end_order(orders: Sequence[ClientOrder], kind: OrderKind, service_id: str | None) -> Orders:
    """`orders` without the one of this kind for this product (None: the whole client)."""
    return tuple(order for order in orders if not order.concerns(kind, service_id))


def without_product(orders: Sequence[ClientOrder], service_id: str) -> Orders:
    """`orders` without those of a product that is removed."""
    return tuple(order for order in orders if order.service_id != service_id)


def published(orders: Sequence[ClientOrder], now: datetime) -> tuple[PublishedOrder, ...]:
    """The orders in force at `now`, as `account.changed` carries them."""
    names = set(PublishedOrder.model_fields)
    return tuple(
        PublishedOrder.model_construct(**{name: getattr(order, name) for name in names})
        for order in in_force(orders, now)
    )


def read_until(text: str, time_zone: str, now: datetime) -> datetime:
    """The end of an order as it is typed: an instant, or a date: the end of it in `time_zone`.

    Raises BadInput for anything else, and for an end that is not after `now`.
    """
    typed = text.strip()
    try:
        if len(typed) == len("2026-12-01"):
            midnight = datetime.combine(
                date.fromisoformat(typed) + timedelta(days=1), time(), ZoneInfo(time_zone)
            )
            found = in_utc(midnight)
        else:
            found = read_instant(typed)
    except (ValueError, OverflowError):
        raise BadInput("until", text, UNTIL) from None
    if found <= now:
        raise BadInput("until", text, f"an end in the future; it is {shown_instant(now)} now")
    return found


def shown_instant(instant: datetime) -> str:
    """An instant as texts show it, to the minute: `2026-12-01 05:00 UTC`."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


FIELD_REASONS: dict[str, str] = {
    "manual": "Manual VoIP Suspend = Yes",
    "forced": "VoIP Suspended = Yes, written by a person",
    "exemption": "Manual VoIP Suspend = No and VoIP Suspended = No",
}
"""The reason of an order that was given by the suspension fields."""


def by_the_fields(orders: Sequence[ClientOrder], kind: OrderKind, author: Author) -> Orders:
    """`orders` with a client-wide order of `kind` in force, added by the fields if it was not."""
    if find_order(orders, kind, None, author.at) is not None:
        return tuple(orders)
    order = ClientOrder(
        kind=kind, given_by=author.who, reason=FIELD_REASONS[kind], since=author.at, by_field=True
    )
    return give_order(orders, order, author.at)


def exemption_of(
    orders: Sequence[ClientOrder], manual: YesNoNone, suspended: YesNoNone, author: Author
) -> Orders:
    """`orders` after the fields have the values `manual` and `suspended`.

    Both No give the exemption. Any other value ends an exemption that the fields gave.
    """
    if manual == "No" and suspended == "No":
        return by_the_fields(orders, "exemption", author)
    old = find_order(orders, "exemption", None, author.at)
    if old is not None and old.by_field:
        return end_order(orders, "exemption", None)
    return tuple(orders)
