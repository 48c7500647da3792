"""What is sent in a scenario, and what must come of it, computed here and not by the product.

Pure: without clock, socket, database or logger.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from ringfence_contracts.ids import call_id
from ringfence_local.demo.sample import SampleClient
from ringfence_local.demo.scene import PBX_ID

Outcome = Literal["rated", "not-billed", "unrated"]
Way = Literal["pull", "push", "both"]
Ending = Literal["rich", "low", "exact", "over", "saved"]

ENDINGS: tuple[Ending, ...] = ("rich", "low", "exact", "over", "saved")
"""What is left at the end: much; less than the threshold; exactly 0; less than 0; much, by a
top-up in the middle."""

MOST_TIMES = 5
_SPARE_MICRO = 50_000_000
_LITTLE_MICRO = 10_000_000


@dataclass(frozen=True)
class Route:
    """A dialled number, and its price: the first and each further period, in seconds."""

    dialled: str
    outcome: Outcome
    first_s: int = 1
    further_s: int = 1
    second_micro: int = 0

    def cost_micro(self, billsec: int) -> int:
        """The price of a call. Every price of these routes is a whole number of micro-units."""
        if self.outcome != "rated":
            return 0
        further = max(0, billsec - self.first_s)
        periods = -(-further // self.further_s)
        return (self.first_s + periods * self.further_s) * self.second_micro


# By the sample's tariff and its markup of 120 %: Toronto costs 0.012 x 1.2 a minute, 240 a second.
ROUTES = (
    Route("14165550100", "rated", 6, 6, 240),
    Route("18675550100", "rated", 30, 6, 900),
    Route("011442075550100", "rated", 60, 60, 360),
    Route("011495550100", "rated", 1, 1, 340),
    Route("01133155501000", "rated", 1, 1, 320),
    Route("18005550100", "not-billed"),
    Route("01179165550100", "unrated"),
)
_WEIGHTS = (50, 10, 15, 10, 10, 3, 2)


@dataclass(frozen=True)
class PlannedCall:
    """A call, how often and in which ways it is sent, and what must come of it."""

    uuid: str
    account_id: str
    tenant: str
    route: Route
    billsec: int
    way: Way
    times: int

    @property
    def call_id(self) -> UUID:
        """Its id in every service."""
        return UUID(str(call_id(PBX_ID, self.uuid)))

    @property
    def cost_micro(self) -> int:
        """What it costs."""
        return self.route.cost_micro(self.billsec)

    @property
    def posts(self) -> int:
        """How often it is posted. In the list of the PBX a call is once, and is read repeatedly."""
        return {"pull": 0, "push": self.times, "both": max(1, self.times - 1)}[self.way]

    def spec(self, ends_at: int) -> dict[str, Any]:
        """The call as the simulated PBX takes it, in its list and as a channel that has ended."""
        return {
            "domain_name": self.tenant,
            "extension": "2112",
            "direction": "outbound",
            "destination_number": self.route.dialled,
            "caller_destination": self.route.dialled,
            "billsec": self.billsec,
            "ends_at": ends_at,
            "xml_cdr_uuid": self.uuid,
            "sip_call_id": f"{self.uuid[:8]}@203.0.113.9",
        }


@dataclass(frozen=True)
class PlannedPayment:
    """A top-up, posted `times` times with the same key."""

    account_id: str
    key: str
    amount_micro: int
    times: int


@dataclass(frozen=True)
class PlannedClient:
    """A client, with what must be left at the end."""

    client: SampleClient
    ending: Ending
    opening_micro: int
    balance_micro: int


@dataclass(frozen=True)
class Wave:
    """Clients with their calls and payments."""

    clients: Sequence[PlannedClient]
    calls: Sequence[PlannedCall]
    payments: Sequence[PlannedPayment]


def plan_wave(number: int, calls: int, chance: random.Random, *, each: int = 2) -> Wave:
    """Plan `calls` calls of `each` clients of each ending; `number` makes names new."""
    names = [f"{9000 + number * 100 + n}" for n in range(each * len(ENDINGS))]
    planned = [_call(chance, names, number) for _ in range(calls)]
    spent = dict.fromkeys(names, 0)
    for call in planned:
        spent[call.account_id] += call.cost_micro
    clients, payments = [], []
    for place, name in enumerate(names):
        ending = ENDINGS[place % len(ENDINGS)]
        opening, paid = _money(ending, spent[name])
        clients.append(
            PlannedClient(
                _client(name, opening, number), ending, opening, opening + paid - spent[name]
            )
        )
        if paid:
            payments.append(PlannedPayment(name, f"chaos-{name}", paid, chance.randint(1, 5)))
    return Wave(clients, planned, payments)


def _money(ending: Ending, spent_micro: int) -> tuple[int, int]:
    """The opening balance and the payment of a client who spends so much."""
    half = spent_micro // 2
    return {
        "rich": (spent_micro + _SPARE_MICRO, 0),
        "low": (spent_micro + _LITTLE_MICRO, 0),
        "exact": (spent_micro, 0),
        "over": (half, 0),
        "saved": (half, spent_micro + _SPARE_MICRO),
    }[ending]


def _client(name: str, opening_micro: int, number: int) -> SampleClient:
    whole, part = divmod(opening_micro, 1_000_000)
    return SampleClient(
        name, f"Client{name}", "Chaos", "", _tenant(name, number), f"519{int(name):07d}", ("2112",),
        f"{whole}.{part:06d}",
    )  # fmt: skip


def _tenant(name: str, number: int) -> str:
    return f"c{name}.chaos{number}.example"


def _call(chance: random.Random, names: Sequence[str], number: int) -> PlannedCall:
    name = chance.choice(names)
    (route,) = chance.choices(ROUTES, _WEIGHTS)
    ways: tuple[Way, ...] = ("push", "pull", "both")
    (way,) = chance.choices(ways, (60, 25, 15))
    return PlannedCall(
        uuid=str(UUID(int=chance.getrandbits(128), version=4)),
        account_id=name,
        tenant=_tenant(name, number),
        route=route,
        billsec=chance.randint(1, 300),
        way=way,
        times=chance.randint(1, MOST_TIMES),
    )
