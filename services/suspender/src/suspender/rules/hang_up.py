"""Whether live calls are ended with a suspension (architecture, section 4)."""

from datetime import datetime

from suspender.rules.account import AccountState
from suspender.rules.service_state import ServiceState
from suspender.rules.suspension import HOLDING_ORDERS, orders_in_force


def ends_calls(account: AccountState, service: ServiceState, now: datetime) -> bool:
    """Whether the live calls of a service that was switched off are ended too.

    With a funds hold only if the credit is used up and the product asks for it, never for debts.
    With an order only if the order asks for it.
    """
    profile, product = account.profile, service.product
    if profile is None or product is None or service.departed or service.wanted == "active":
        return False
    is_spent = "funds" in service.holds and account.hold_reason == "credit"
    if is_spent and product.hang_up == "credit":
        return True
    return any(
        order.hang_up
        for order in orders_in_force(profile, now)
        if order.kind in HOLDING_ORDERS and order.service_id in (None, service.service_id)
    )
