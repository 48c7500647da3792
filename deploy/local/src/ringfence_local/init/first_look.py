"""Reads the inventory of a PBX before any service runs, and proposes products for it."""

import asyncio
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from accounts.installation.proposed import ProposedProduct, free_ids
from ringfence_cli.servers.product_commands import product_command
from ringfence_contracts.errors import RingfenceError
from ringfence_pbx.comparison import InventoryItem, Proposal, ServerInventory, compare
from ringfence_pbx.servers import Servers
from suspender.drivers.wiring import open_drivers

BOUND_S = 300.0
"""The timeout for a PBX; for a slower one, use `ringfence server propose` when services run."""

_MOST_TENANTS = 20
_WIDTH = 79


@dataclass(frozen=True)
class FirstLook:
    """The inventory of a server, and a proposed product for each tenant that may have calls."""

    inventory: ServerInventory
    proposals: tuple[Proposal, ...]

    def commands(self) -> str:
        """The products as shell commands, to be reviewed."""
        ids = free_ids([proposal.tenant for proposal in self.proposals], ())
        products = [
            ProposedProduct(
                product=product, server_id=p.server_id, kind=p.kind, tenant=p.tenant, name=p.name,
                fields=dict(p.fields), notes=list(p.notes),
            )
            for product, p in zip(ids, self.proposals, strict=True)
        ]  # fmt: skip
        return "".join(f"{product_command(product.model_dump())}\n\n" for product in products)

    def lines(self) -> Iterator[str]:
        """A table of the tenants, at most 80 columns wide, and what could not be read."""
        counts = Counter((item.tenant.lower(), item.kind) for item in self.inventory.items)
        sums = Counter(item.kind for item in self.inventory.items)
        yield (
            f"{self.inventory.server_id} has {sums['tenant']} tenants, {sums['extension']}"
            f" extensions, {sums['did']} DIDs and {sums['gateway']} gateways:"
        )
        yield f"  {'tenant':<44}{'extensions':>11}{'DIDs':>6}{'gateways':>10}"
        tenants = sorted(item.name for item in self.inventory.items if item.kind == "tenant")
        for tenant in tenants[:_MOST_TENANTS]:
            extensions, dids, gateways = (
                counts[tenant.lower(), kind] for kind in ("extension", "did", "gateway")
            )
            shown = tenant if len(tenant) <= 43 else f"{tenant[:42]}…"
            yield f"  {shown:<44}{extensions:>11}{dids:>6}{gateways:>10}"
        if len(tenants) > _MOST_TENANTS:
            yield f"  and {len(tenants) - _MOST_TENANTS} more"
        for gap in self.inventory.gaps:
            yield from textwrap.wrap(gap, _WIDTH, initial_indent="  ", subsequent_indent="    ")


class NotListed(RingfenceError):
    """The server's inventory could not be read; the message says why."""


def look(servers: Servers, server_id: str) -> FirstLook:
    """Read the inventory of a server and propose products. Raises NotListed."""
    try:
        inventory = asyncio.run(asyncio.wait_for(_read(servers, server_id), BOUND_S))
    except TimeoutError:
        raise NotListed(f"not within {BOUND_S:.0f} s") from None
    except (RingfenceError, OSError) as error:
        raise NotListed(str(error) or type(error).__name__) from None
    return FirstLook(inventory, compare((), [inventory]).proposals)


async def _read(servers: Servers, server_id: str) -> ServerInventory:
    async with open_drivers(servers) as drivers:
        read = await drivers[server_id].inventory()
    items = [
        InventoryItem(i.kind, i.tenant, i.name, i.uuid, i.label, i.enabled, i.leads_to)
        for i in read.items
    ]
    kind = servers.servers[server_id].kind
    return ServerInventory(server_id, kind, items, read.gaps, read.tests_toll_allow)
