"""The client of a case, as accounts stores it: a product, VoIP service, live mode."""

from datetime import UTC, datetime

from accounts.clients.account import Account, ClientSettings, entered
from accounts.clients.orders import Author
from ringfence_contracts.events.account import Client, Service

ACCOUNT_ID = "vectors"
CURRENCY = "USD"
START = datetime(2026, 1, 1, tzinfo=UTC)
PERSON = "a person"

PRODUCT = Service(
    service_id="product",
    name="Product",
    kind="fusionpbx",
    server_id="pbx",
    tenant="vectors.example",
    extensions=("100",),
)
"""A prepaid product."""


def new_account() -> Account:
    """The account as accounts creates it, at its first version."""
    settings = ClientSettings(
        currency=CURRENCY,
        client=Client(first_name="Vector", email="", wants_mail=False),
        has_voip_service=True,
    )
    account = entered(ACCOUNT_ID, None, settings, Author(PERSON, START))
    return account.model_copy(update={"version": 1})
