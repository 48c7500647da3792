"""One client's history, step by step, by the decisions of accounts, rating, balance-watch and the
suspender.

Each step calls the functions that production calls: an input becomes an event, the event changes
the funds hold, and both change the desired state. There is no broker: consumers apply an event as
soon as it is published.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from accounts.clients.account import (
    Edit,
    account_changed,
    entered,
    patched,
    with_confirmed,
    with_manual_suspend,
    with_order,
    with_outstanding,
    with_voip_suspended,
    without_order,
)
from accounts.clients.orders import Author, ClientOrder, find_order
from accounts.payments.payment import payment_id
from balance_watch.watch import EventEffect, WatchedAccount, apply_balance, apply_profile
from rating.ledger import AccountBalance, EntryKind, Posting, post, runs
from rating.posting.events import event_of
from rating.posting.records import BalanceMove
from ringfence_contracts.events.account import YesNoNone
from ringfence_contracts.events.balance import BalanceChanged, BalanceRestored, BalanceZero
from ringfence_contracts.ids import derive
from ringfence_contracts.topics import BY_NAME
from ringfence_vectors.client import ACCOUNT_ID, CURRENCY, PERSON, PRODUCT, START, new_account
from suspender.rules.account import (
    AccountEvent,
    Cause,
    Decisions,
    Services,
    apply_event,
    decide_account,
)
from suspender.rules.account import AccountState as SuspenderAccount
from suspender.rules.suspension import Desired


class Story:
    """A prepaid client in live mode with VoIP service: the state of each service."""

    def __init__(self) -> None:
        self._now = START
        self._account = new_account()
        self._product = PRODUCT
        self._payments = 0
        self._balance = AccountBalance(CURRENCY, 0, 0)
        self._watched = WatchedAccount(ACCOUNT_ID, CURRENCY)
        self._suspender = SuspenderAccount(ACCOUNT_ID)
        self._services: Services = {}
        self._publish_account()

    @property
    def desired(self) -> Desired:
        """The desired state of the client's product."""
        return self._services[self._product.service_id].would

    def open(self) -> None:
        """Post the opening balance of a client that was entered without one: 0."""
        self._pay("adjustment", 0, "opening")

    def top_up(self, amount_micro: int) -> None:
        """Post a top-up."""
        self._pay("top-up", amount_micro)

    def adjust(self, amount_micro: int) -> None:
        """Post an adjustment by a signed amount."""
        self._pay("adjustment", amount_micro)

    def owe(self, amount_micro: int) -> None:
        """Set the sum of unpaid invoices."""
        self._edit(with_outstanding(amount_micro, None, self._next()))

    def manual(self, value: YesNoNone) -> None:
        """Set `Manual VoIP Suspend` as a person."""
        self._edit(with_manual_suspend(value, Author(PERSON, self._next())))

    def voip(self, value: YesNoNone) -> None:
        """Set `VoIP Suspended` as a person."""
        self._edit(with_voip_suspended(value, Author(PERSON, self._next())))

    def has(self, has_voip_service: bool) -> None:
        """Set whether the client has VoIP service."""
        by = Author(PERSON, self._next())
        changes = {"has_voip_service": has_voip_service}
        self._edit(lambda account: entered(ACCOUNT_ID, account, patched(account, changes), by))

    def whmcs(self, is_on: bool) -> None:
        """Set or end the order of WHMCS to suspend the client."""
        now = self._next()
        if is_on:
            self._edit(with_order(ClientOrder(kind="whmcs", given_by="WHMCS", since=now)))
        elif find_order(self._account.orders, "whmcs", None, now):
            self._edit(without_order("whmcs", None, now))

    def prepaid(self, is_prepaid: bool) -> None:
        """Set whether the product is prepaid; otherwise it is metered."""
        self._next()
        self._product = self._product.model_copy(update={"prepaid": is_prepaid})
        self._edit(lambda account: account, product_changed=True)

    def confirm(self) -> None:
        """Confirm the desired state as the PBX does; accounts writes it into the client's field."""
        if self.desired != "leave":
            self._edit(with_confirmed(self.desired == "suspended", self._next()))

    def _next(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def _edit(self, edit: Edit, *, product_changed: bool = False) -> None:
        after = edit(self._account)
        if after != self._account or product_changed:
            version = self._account.version + 1
            self._account = after.model_copy(update={"version": version})
            self._publish_account()

    def _publish_account(self) -> None:
        changed = account_changed(self._account, (self._product,), self._now, self._payments)
        event_id = derive("vectors", "account", changed.version)
        self._decide(changed, Cause(event_id, ""))
        self._cross(apply_profile(self._watched, changed, event_id, ""))

    def _pay(self, kind: EntryKind, amount_micro: int, key: str = "") -> None:
        self._payments += 1
        payment = payment_id(ACCOUNT_ID, key or f"step-{self._payments}")
        posting = Posting(payment, ACCOUNT_ID, kind, amount_micro, payment, self._next(), b"", "")
        for run in runs([post(self._balance, posting)]):
            event = event_of(BalanceMove(run, self._balance, ""))
            change = BalanceChanged.model_validate_json(event.value)
            self._cross(apply_balance(self._watched, change, event.event_id, ""))

    def _cross(self, effect: EventEffect) -> None:
        if effect.crossing is not None:
            event = effect.crossing.outgoing()
            data = BY_NAME[event.topic.name].data.model_validate_json(event.value)
            if isinstance(data, BalanceZero | BalanceRestored):
                self._decide(data, Cause(event.event_id, ""))

    def _decide(self, event: AccountEvent, cause: Cause) -> None:
        apply_event(self._suspender, event, self._now)
        decide_account(self._suspender, self._services, cause, self._now, Decisions())


Act = Callable[[Story], None]
"""One step of a story."""
