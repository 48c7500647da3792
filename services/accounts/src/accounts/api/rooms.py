"""What a request may use: the stores, the clock, and the name of who asks."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request

from accounts.paging import MAX_LIMIT
from accounts.store import Store
from accounts.store_payments import PaymentStore
from accounts.store_reports import Reports
from accounts.store_tariffs import TariffStore
from ringfence.clock import Clock
from ringfence.events.model import Id


@dataclass(frozen=True)
class Rooms:
    """All that the routes are given."""

    clock: Clock
    store: Store
    payments: PaymentStore
    tariffs: TariffStore
    reports: Reports


def _rooms(request: Request) -> Rooms:
    rooms: Rooms = request.app.state.rooms
    return rooms


def _who(request: Request) -> str:
    who: str = request.state.who
    return who


In = Annotated[Rooms, Depends(_rooms)]
Who = Annotated[str, Depends(_who)]
AccountId = Id
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
