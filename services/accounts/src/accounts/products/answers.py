"""The types of responses about products. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.answers import Answer, ListAnswer


class ProductAnswer(Answer):
    """A product: the typed fields of its kind, and the `service` that they describe."""

    account_id: str
    service_id: str
    kind: str
    name: str
    server_id: str
    prepaid: bool
    package: str | None
    bill_from: datetime | None
    hang_up: str
    emergency: str | None
    service: dict[str, Any]


class ChangedProduct(ProductAnswer):
    """A product after a change, and what the change does."""

    version: int
    what_happens: str
    stays_off: list[dict[str, Any]]
    words: str
    release_request: UUID | None
    warnings: list[str]


class ProductList(ListAnswer):
    """All products of a client."""

    items: list[ProductAnswer]
