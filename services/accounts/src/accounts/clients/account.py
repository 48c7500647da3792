"""An account and its changes: pure functions from an account to the changed account."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from accounts.clients.checks import check_client, imported_threshold, parse_threshold
from accounts.clients.orders import (
    Author,
    ClientOrder,
    end_order,
    find_order,
    give_order,
    published,
    without_product,
)
from accounts.clients.suspension_fields import (
    given_by_hand,
    repetitions,
    shown,
    without_exemption,
    write_confirmed,
    write_manual,
    write_suspended,
)
from accounts.refusals import Clash, Refusals, Unknown
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import (
    AccountChanged,
    Client,
    OperatingMode,
    OrderKind,
    Profile,
    Service,
    WrittenBy,
    YesNoNone,
)
from ringfence_contracts.events.model import Currency, EventData, Id, Instant, Micro, Text

Writer = Literal["person", "import"]
Edit = Callable[["Account"], "Account"]
"""Returns the changed account. An equal one means that nothing changes."""

_AHEAD = timedelta(seconds=60)


class Account(EventData):
    """A client as it is stored. `version` grows with every change; 0 has not been published.

    `profile` has the stored part of the two suspension fields: `shown_profile` adds the `orders`
    to it, and is what people read. `outstanding_as_of` is when the debts were read at their
    source. `imported`: an import wrote the client, so its telephones were in use before.
    """

    account_id: Id
    version: int = 0
    currency: Currency
    time_zone: Text = "UTC"
    client: Client
    profile: Profile = Profile()
    outstanding_micro: Micro = 0
    orders: tuple[ClientOrder, ...] = ()
    mode: OperatingMode = "live"
    leave_off: bool = False
    credit_limit_micro: Micro = 0
    outstanding_as_of: Instant | None = None
    imported: bool = False


class ClientSettings(EventData):
    """What a person, or an import, enters for a client.

    The two suspension fields and the credit limit stay unchanged where they are None.
    `voip_suspended_by` is the writer that the caller read before; `written_by` says who writes now.
    """

    currency: Currency
    time_zone: Text = "UTC"
    client: Client
    has_voip_service: bool = False
    low_balance_threshold: Text = ""
    manual_voip_suspend: YesNoNone | None = None
    voip_suspended: YesNoNone | None = None
    voip_suspended_by: WrittenBy | None = None
    written_by: Writer | None = None
    credit_limit_micro: Micro | None = None


def shown_profile(account: Account, now: datetime) -> Profile:
    """The profile as it is shown and published at `now`, with both suspension fields."""
    return shown(account.profile, account.orders, Author("", now))


def settings_of(account: Account) -> ClientSettings:
    """The settings that would leave the account unchanged."""
    return ClientSettings(
        currency=account.currency,
        time_zone=account.time_zone,
        client=account.client,
        has_voip_service=account.profile.has_voip_service,
        low_balance_threshold=account.profile.low_balance_threshold,
    )


def patched(account: Account, changes: Mapping[str, Any]) -> ClientSettings:
    """The settings of an account with `changes`, named as in ClientSettings and Client."""
    base = settings_of(account)
    client = {name: value for name, value in changes.items() if name in Client.model_fields}
    rest = {name: value for name, value in changes.items() if name in ClientSettings.model_fields}
    return base.model_copy(update={**rest, "client": base.client.model_copy(update=client)})


def entered(
    account_id: str,
    before: Account | None,
    settings: ClientSettings,
    author: Author,
    *,
    default_mode: OperatingMode = "live",
) -> Account:
    """The account after `settings` are entered; `before` is None for a new one.

    Raises BadInput for a malformed value; Clash for a currency other than the account's, and for
    an order by hand in shadow mode.
    """
    old = before or Account(
        account_id=account_id,
        currency=settings.currency,
        client=settings.client,
        mode=default_mode,
    )
    problems = Refusals()
    check_client(settings.client, settings.time_zone, problems)
    profile = problems.read(lambda: _entered_profile(old.profile, settings), old.profile)
    problems.check()
    if settings.currency != old.currency:
        raise Clash("currency", settings.currency, f"this account is kept in {old.currency}")
    limit = settings.credit_limit_micro
    if limit is not None and limit < 0:
        raise BadInput("credit_limit", limit, "0 or more")
    new = old.model_copy(
        update={
            "client": settings.client,
            "time_zone": settings.time_zone,
            "profile": profile,
            "credit_limit_micro": old.credit_limit_micro if limit is None else limit,
            "imported": old.imported or settings.written_by == "import",
        }
    )
    written = _written_fields(new, settings, author)
    if settings.written_by != "import":
        check_mode_for_orders(written, given_by_hand(old.orders, written.orders, author))
    return written


def _entered_profile(old: Profile, settings: ClientSettings) -> Profile:
    typed = settings.low_balance_threshold.strip()
    if typed == old.low_balance_threshold.strip():
        micro = old.threshold_micro
    elif settings.written_by == "import":
        micro = imported_threshold(typed)
    else:
        micro = parse_threshold(typed)
    return old.model_copy(
        update={
            "has_voip_service": settings.has_voip_service,
            "low_balance_threshold": typed,
            "threshold_micro": micro,
        }
    )


def _written_fields(account: Account, settings: ClientSettings, author: Author) -> Account:
    """The account with both suspension fields written, except those that the body only repeats."""
    profile, orders = account.profile, account.orders
    manual, value, claim = (
        settings.manual_voip_suspend,
        settings.voip_suspended,
        settings.written_by,
    )
    repeated = _repetitions(account, settings, author)
    if manual is not None and "manual_voip_suspend" not in repeated:
        profile, orders = write_manual(profile, orders, manual, author)
    same = value == shown(profile, orders, author).voip_suspended and claim is None
    if value is not None and not same and "voip_suspended" not in repeated:
        profile, orders = write_suspended(profile, orders, value, claim or "person", author)
    return account.model_copy(update={"profile": profile, "orders": orders})


def _repetitions(account: Account, settings: ClientSettings, author: Author) -> dict[str, str]:
    if settings.written_by is not None:
        return {}
    sent = (settings.manual_voip_suspend, settings.voip_suspended, settings.voip_suspended_by)
    return repetitions(account.profile, account.orders, sent, author)


def entry_warnings(before: Account | None, settings: ClientSettings, author: Author) -> list[str]:
    """The settings that were not applied as sent, each with the reason."""
    warnings = list(_repetitions(before, settings, author).values()) if before else []
    typed = settings.low_balance_threshold.strip()
    off = settings.written_by == "import" and imported_threshold(typed) is None
    if off and typed.strip("$0., "):
        warnings.append(
            f"low_balance_threshold {typed!r} is no amount: it is kept as text, alerts are off"
        )
    return warnings


def with_outstanding(amount_micro: int, as_of: datetime | None, now: datetime) -> Edit:
    """Sets what the client owes on unpaid invoices, as it was at `as_of`.

    `as_of` None: a person enters it, which always applies. An amount that was read before the
    stored one changes nothing. Raises BadInput for an `as_of` more than a minute after `now`.
    """
    if as_of is not None and as_of > now + _AHEAD:
        expected = f"an instant that is not in the future; it is {now.isoformat()} now"
        raise BadInput("as_of", as_of.isoformat(), expected)

    def edit(account: Account) -> Account:
        if not applies(account, as_of):
            return account
        update = {"outstanding_micro": amount_micro, "outstanding_as_of": as_of or now}
        return account.model_copy(update=update)

    return edit


def applies(account: Account, as_of: datetime | None) -> bool:
    """Whether debts that were read at `as_of` are at least as new as the stored ones."""
    kept = account.outstanding_as_of
    return as_of is None or kept is None or as_of >= kept


def with_order(order: ClientOrder) -> Edit:
    """Gives an order; it replaces the one of the same kind and product.

    Raises Clash for an order by hand while the client is in shadow mode.
    """

    def edit(account: Account) -> Account:
        if order.kind != "whmcs":
            check_mode_for_orders(account, (order,))
        return account.model_copy(update={"orders": give_order(account.orders, order, order.since)})

    return edit


def without_order(kind: OrderKind, service_id: str | None, now: datetime) -> Edit:
    """Ends an order. Raises Unknown when none of this kind and product is in force at `now`."""

    def edit(account: Account) -> Account:
        if find_order(account.orders, kind, service_id, now) is None:
            whole = "the whole client" if service_id is None else f"product {service_id}"
            raise Unknown("order", kind, f"the client has no {kind} order for {whole}")
        profile, orders = account.profile, end_order(account.orders, kind, service_id)
        if kind == "exemption" and service_id is None:
            profile, orders = without_exemption(profile, account.orders, Author("", now))
        return account.model_copy(update={"profile": profile, "orders": orders})

    return edit


def without_orders_of(service_id: str) -> Edit:
    """Ends the orders of a product that is removed."""
    return lambda account: account.model_copy(
        update={"orders": without_product(account.orders, service_id)}
    )


def check_mode_for_orders(account: Account, given: tuple[ClientOrder, ...]) -> None:
    """Raises Clash if `given` are orders by hand and the client is in shadow mode."""
    if given and account.mode == "shadow":
        raise Clash(
            "mode",
            "shadow",
            "nothing is switched for a client in shadow mode, so orders by hand are refused: "
            f"run `ringfence mode live --clients {account.account_id}` first",
        )


def with_manual_suspend(value: YesNoNone, author: Author) -> Edit:
    """Sets the field `Manual VoIP Suspend` as a person does."""

    def edit(account: Account) -> Account:
        profile, orders = write_manual(account.profile, account.orders, value, author)
        return account.model_copy(update={"profile": profile, "orders": orders})

    return edit


def with_voip_suspended(value: YesNoNone, author: Author) -> Edit:
    """Sets the field `VoIP Suspended` as a person does."""

    def edit(account: Account) -> Account:
        written = write_suspended(account.profile, account.orders, value, "person", author)
        return account.model_copy(update={"profile": written[0], "orders": written[1]})

    return edit


def with_mode(mode: OperatingMode, leave_off: bool) -> Edit:
    """Sets the mode. `leave_off`: in shadow, what ringfence switched off stays off."""
    update = {"mode": mode, "leave_off": leave_off and mode == "shadow"}
    return lambda account: account.model_copy(update=update)


def with_confirmed(any_suspended: bool, now: datetime) -> Edit:
    """Writes what the PBX confirmed into `VoIP Suspended`: Yes or None, never No, which would
    exempt the client for ever. What a person wrote stays.
    """

    def edit(account: Account) -> Account:
        profile = write_confirmed(account.profile, account.orders, any_suspended, Author("", now))
        return account.model_copy(update={"profile": profile})

    return edit


def suspension_warnings(account: Account, now: datetime) -> list[str]:
    """Why a change of the client's orders may have no effect."""
    if not account.profile.has_voip_service:
        return ["Has VoIP Service is not yes: nothing is switched on any PBX for this client"]
    if find_order(account.orders, "forced", None, now) and not find_order(
        account.orders, "manual", None, now
    ):
        return ["VoIP Suspended is Yes, written by a person: services stay off until it is None"]
    return []


def account_changed(
    account: Account, services: tuple[Service, ...], changed_at: Instant, accepted: int = 0
) -> AccountChanged:
    """The event with the whole state of an account. `accepted` counts its payments."""
    return AccountChanged(
        account_id=account.account_id,
        version=account.version,
        currency=account.currency,
        time_zone=account.time_zone,
        client=account.client,
        profile=shown_profile(account, changed_at),
        outstanding_micro=account.outstanding_micro,
        services=services,
        changed_at=changed_at,
        orders=published(account.orders, changed_at),
        mode=account.mode,
        leave_off=account.leave_off,
        accepted=accepted,
        credit_limit_micro=account.credit_limit_micro,
    )
