"""`Manual VoIP Suspend` and `VoIP Suspended`: two fields that give client-wide orders.

The stored fields hold the No of a person and, in `VoIP Suspended`, what ringfence wrote (Yes or
None, never No). The Yes of a person is stored as an order only. The shown and published values
follow from the stored fields and the orders. Pure functions; ADR 25.
"""

from accounts.clients.orders import (
    Author,
    Orders,
    by_the_fields,
    end_order,
    exemption_of,
    expired,
    find_order,
    in_force,
)
from ringfence_contracts.events.account import Profile, WrittenBy, YesNoNone

Fields = tuple[Profile, Orders]

_OURS = "voip_suspended was not changed: ringfence itself wrote {} since it was read. "
_HOW = "If it is meant as an order, give the order by itself, or send written_by = person."


def shown(profile: Profile, orders: Orders, author: Author) -> Profile:
    """The profile as it is shown: a field is Yes while its order is in force."""
    kept = _stored(profile, orders, author)
    update: dict[str, str] = {}
    if find_order(orders, "manual", None, author.at):
        update["manual_voip_suspend"] = "Yes"
    if find_order(orders, "forced", None, author.at):
        update |= {"voip_suspended": "Yes", "voip_suspended_by": "person"}
    return kept.model_copy(update=update) if update else kept


def _stored(profile: Profile, orders: Orders, author: Author) -> Profile:
    """The fields without the orders. The Yes of an ended order becomes None, and so do the two
    No of an ended exemption.
    """
    update: dict[str, str] = {}
    if profile.manual_voip_suspend == "Yes":
        update["manual_voip_suspend"] = "None"
    if profile.voip_suspended == "Yes" and profile.voip_suspended_by == "person":
        update["voip_suspended"] = "None"
    both_no = profile.manual_voip_suspend == profile.voip_suspended == "No"
    if both_no and not find_order(orders, "exemption", None, author.at):
        update = {"manual_voip_suspend": "None", "voip_suspended": "None"}
    return profile.model_copy(update=update) if update else profile


def write_manual(profile: Profile, orders: Orders, value: YesNoNone, author: Author) -> Fields:
    """`Manual VoIP Suspend` = `value`: Yes gives the manual order, No and None end it."""
    if value == shown(profile, orders, author).manual_voip_suspend:
        return profile, orders
    kept = _stored(profile, orders, author)
    typed: YesNoNone = "None" if value == "Yes" else value
    after = kept.model_copy(update={"manual_voip_suspend": typed})
    if value == "Yes":
        orders = by_the_fields(orders, "manual", author)
    else:
        orders = end_order(orders, "manual", None)
    return after, exemption_of(orders, typed, after.voip_suspended, author)


def write_suspended(
    profile: Profile, orders: Orders, value: YesNoNone, writer: WrittenBy, author: Author
) -> Fields:
    """`VoIP Suspended` = `value`: the Yes of a person gives the forced order, No and None end it.

    An imported Yes only records that the client was off. A No is always a person's.
    """
    kept = _stored(profile, orders, author)
    if value == "Yes" and writer == "person":
        if kept.voip_suspended == "No":
            kept = kept.model_copy(update={"voip_suspended": "None"})
        orders = by_the_fields(orders, "forced", author)
    else:
        who = "person" if value == "No" else writer
        kept = kept.model_copy(update={"voip_suspended": value, "voip_suspended_by": who})
        orders = orders if value == "Yes" else end_order(orders, "forced", None)
    return kept, exemption_of(orders, kept.manual_voip_suspend, kept.voip_suspended, author)


def without_exemption(profile: Profile, orders: Orders, author: Author) -> Fields:
    """The fields and orders after the exemption was ended: the two No that gave it become None."""
    ended = end_order(orders, "exemption", None)
    return _stored(profile, ended, author), ended


def write_confirmed(
    profile: Profile, orders: Orders, any_suspended: bool, author: Author
) -> Profile:
    """The profile after the PBX confirmed: Yes or None. The No of a person stays."""
    kept = _stored(profile, orders, author)
    value: YesNoNone = "Yes" if any_suspended else "None"
    if kept.voip_suspended in ("No", value):
        return profile
    return kept.model_copy(update={"voip_suspended": value, "voip_suspended_by": "us"})


def repetition(
    profile: Profile, orders: Orders, value: YesNoNone, read_by: WrittenBy | None, author: Author
) -> str | None:
    """Why `VoIP Suspended` = `value` is only a repetition of what the caller read before.

    None when the value is to be applied. Only for a body without `written_by`. `read_by`: the
    writer that the body names, as it was read.
    """
    now = shown(profile, orders, author)
    if value == now.voip_suspended:
        return None
    if read_by == "us":
        return "voip_suspended was not changed: the body says that ringfence wrote it. " + _HOW
    if author.matched:
        return None
    if now.voip_suspended_by == "us" and value in ("Yes", "None"):
        return _OURS.format(value) + _HOW
    if value == "Yes" and expired(orders, "forced", None, author.at):
        return "voip_suspended was not changed: the forced order ended by its date. " + _HOW
    return None


def manual_repetition(
    profile: Profile, orders: Orders, value: YesNoNone, author: Author
) -> str | None:
    """The same for `Manual VoIP Suspend`: Yes may have been read before an order ended."""
    now = shown(profile, orders, author)
    given = value == "Yes" != now.manual_voip_suspend and not author.matched
    if given and expired(orders, "manual", None, author.at):
        return "manual_voip_suspend was not changed: the manual order ended by its date. " + _HOW
    return None


def repetitions(
    profile: Profile,
    orders: Orders,
    sent: tuple[YesNoNone | None, YesNoNone | None, WrittenBy | None],
    author: Author,
) -> dict[str, str]:
    """The fields that a body only repeats, each with the text why it is not applied.

    `sent`: `Manual VoIP Suspend`, `VoIP Suspended` (None: left out), and the writer as it was read.
    """
    manual, value, read_by = sent
    found: dict[str, str] = {}
    why = None if manual is None else manual_repetition(profile, orders, manual, author)
    if why:
        found["manual_voip_suspend"] = why
    why = None if value is None else repetition(profile, orders, value, read_by, author)
    if why:
        found["voip_suspended"] = why
    return found


def given_by_hand(before: Orders, after: Orders, author: Author) -> Orders:
    """The orders by hand that `after` has and `before` has not; those of WHMCS are not by hand."""
    old = in_force(before, author.at)
    return tuple(o for o in in_force(after, author.at) if o.kind != "whmcs" and o not in old)
