"""Waits until a payment is posted and the services that it frees are switched on."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ringfence_cli.connection import ApiClient, path_of
from ringfence_cli.tables import show_warnings
from ringfence_cli.times import sentence

WAIT_S = 10.0
_LOOK_EVERY_S = 0.1


class PostingResult(NamedTuple):
    """The result of a payment: the new balance (None: not posted), and a line for each service."""

    balance: str | None
    services: list[str]

    def as_json(self) -> dict[str, Any]:
        """The result as JSON fields."""
        return {
            "posted": self.balance is not None,
            "balance_after": self.balance,
            "switched": self.services,
        }


class PostedPayment(NamedTuple):
    """A payment as the API took it; not `new`: it was taken before, under the same key."""

    payment: Mapping[str, Any]
    new: bool

    @property
    def money(self) -> str:
        """The amount with its currency."""
        return f"{self.payment['amount']} {self.payment['currency']}"

    def sentence(self, found: PostingResult) -> str:
        """What became of it."""
        account, unit = self.payment["account_id"], self.payment["currency"]
        if found.balance is None:
            return (
                f"{self.accepted()[:-1]}, not posted after {WAIT_S:.0f} s: it is posted when"
                f" rating runs again. `ringfence ledger {account}` shows it."
            )
        if self.new:
            return f"{self.money} posted to {account}. New balance: {found.balance} {unit}."
        return f"{self._before('posted')} The balance after it was {found.balance} {unit}."

    def accepted(self) -> str:
        """That it is accepted, where its posting is not awaited."""
        if self.new:
            return f"{self.money} accepted for {self.payment['account_id']}."
        return self._before("accepted")

    def _before(self, what: str) -> str:
        key, at = self.payment["idempotency_key"], sentence(self.payment["received_at"])
        return (
            f"Nothing was {what} again: {self.money} was {what} to {self.payment['account_id']}"
            f" under key {key} already, at {at}."
        )


def post(api: ApiClient, account: str, body: Mapping[str, Any], key: str) -> PostedPayment:
    """Post a payment under a key. Ends the command if it is refused."""
    path, headers = path_of("clients", account, "payments"), {"Idempotency-Key": key}
    payment, new = api.send_new("POST", path, json=body, headers=headers)
    show_warnings(payment)
    return PostedPayment(payment, new)


class PaymentWatch:
    """Watches a client from before a payment until the payment is posted and applied."""

    def __init__(self, api: ApiClient, account: str) -> None:
        self._api = api
        self._account = account
        self._off = self._services_off()
        self._begun = time.monotonic()
        self._deadline = self._begun + WAIT_S

    def until_posted(self, payment_id: str) -> PostingResult:
        """Wait until the payment is posted, then until services that were off before are on."""
        path = path_of("clients", self._account, "payments", payment_id)
        payment = self._api.get(path)
        while not payment["posted"]:
            if not self._wait():
                return PostingResult(None, [])
            payment = self._api.get(path)
        return PostingResult(payment["balance_after"], self._until_switched() if self._off else [])

    def _services_off(self) -> set[str]:
        """The products that are off now; none for a client that does not exist."""
        if self._api.find(path_of("clients", self._account)) is None:
            return set()
        rows = self._api.listing(path_of("clients", self._account, "services")).rows
        return {row["service_id"] for row in rows if row["confirmed"] == "suspended"}

    def _until_switched(self) -> list[str]:
        on: dict[str, float] = {}
        while True:
            for service_id in self._off - self._services_off() - on.keys():
                on[service_id] = time.monotonic() - self._begun
            client = self._api.get(path_of("clients", self._account))
            left = self._off - on.keys()
            if not left or not (_may_go_on(client, left) and self._wait()):
                break
        return [
            *(f"service {name} on again after {after:.1f} s" for name, after in on.items()),
            *(f"service {name} {_stays(client, left)}" for name in sorted(left)),
        ]

    def _wait(self) -> bool:
        """Sleep for a moment; False when the time is over."""
        if time.monotonic() >= self._deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
        return True


def _may_go_on(client: Mapping[str, Any], off: set[str]) -> bool:
    """Whether products that are still `off` may be switched on soon.

    The funds hold ends by itself with credit and without debts, shortly after the posting, and
    the services follow. An order stays until a person ends it.
    """
    if client["mode"] == "shadow" or client["state"] == "failed":
        return False
    enough = (client["balance_micro"] or 0) > -client["credit_limit_micro"]
    if client["held"] and not (enough and client["outstanding_micro"] == 0):
        return False
    orders = [each for each in client["orders"] if each["kind"] != "exemption"]
    ordered = {each["product"] for each in orders}
    return None not in ordered and bool(off - ordered)


def _stays(client: Mapping[str, Any], off: set[str]) -> str:
    if client["mode"] == "shadow":
        return "stays as it is: shadow mode"
    if client["state"] == "failed":
        return f"could not be switched: `ringfence services {client['account_id']}` says why"
    if client["reason"] and not _may_go_on(client, off):
        ends = f"; brought back by {client['brings_back']}" if client["brings_back"] else ""
        return f"stays off: {client['reason']}{ends}"
    return f"still switching after {WAIT_S:.0f} s"
