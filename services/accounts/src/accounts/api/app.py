"""The API as one application: its gate, its errors, its resources."""

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from accounts.api import clients, packages, payments, products, questions, tariffs
from accounts.api.errors import add_error_handlers
from accounts.api.gate import Gate
from accounts.api.rooms import Rooms
from accounts.store import Store
from accounts.store_payments import PaymentStore
from accounts.store_reports import Reports
from accounts.store_tariffs import TariffStore
from accounts.tokens import ApiUser
from ringfence.clock import Clock

MAX_BODY = 1024 * 1024


def create_app(
    *,
    users: Sequence[ApiUser],
    clock: Clock,
    store: Store,
    payments: PaymentStore,
    tariffs: TariffStore,
    reports: Reports,
) -> FastAPI:
    """The application, ready to be served. Its OpenAPI document is at /v1/openapi.json."""
    app = FastAPI(
        title="ringfence accounts",
        version="1",
        description="Clients, products, packages, tariffs, top-ups, and questions about them.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        max_body_size=MAX_BODY,
        # The gate has let nobody pass without a token; this says so in the document.
        dependencies=[Depends(HTTPBearer(auto_error=False))],
    )
    app.state.rooms = Rooms(clock, store, payments, tariffs, reports)
    add_error_handlers(app)
    for router in _ROUTERS:
        app.include_router(router, prefix="/v1")
    app.add_middleware(Gate, users=users)
    return app


_ROUTERS = (
    clients.router,
    products.router,
    packages.router,
    tariffs.router,
    payments.router,
    questions.router,
)
