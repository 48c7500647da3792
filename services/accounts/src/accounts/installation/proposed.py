"""Proposed products as API responses carry them, each with a free id. Pure."""

import re
from collections.abc import Collection, Iterable

from pydantic import BaseModel

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_LONGEST = 60


class ProposedProduct(BaseModel):
    """A proposed product for a tenant that no product names. `product` is a free id.

    `fields` are those of PUT; `notes` say what to check first.
    """

    product: str
    server_id: str
    kind: str
    tenant: str
    name: str
    fields: dict[str, str]
    notes: list[str]


def free_ids(tenants: Iterable[str], taken: Collection[str]) -> list[str]:
    """A free id for the product of each tenant: the first part of its name, numbered if taken.

    >>> free_ids(["mcon.example.com", "mcon.example.org", "+1"], {"mcon-2"})
    ['mcon', 'mcon-3', '1']
    """
    found: list[str] = []
    used = set(taken)
    for tenant in tenants:
        first = _NOT_IN_IDS.sub("-", tenant.strip().split(".")[0]).strip("._-")[:_LONGEST]
        stem = first or "product"
        number, candidate = 1, stem
        while candidate in used:
            number += 1
            candidate = f"{stem}-{number}"
        used.add(candidate)
        found.append(candidate)
    return found
