"""The API as one application: authentication, errors, routes."""

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.types import Receive, Scope, Send

from accounts.access import api as access
from accounts.access.clients import api as client_links
from accounts.access.clients.links import ClientLinks
from accounts.access.clients.store import ClientAccess
from accounts.access.directory import TokenDirectory
from accounts.access.failed_logins import FailedLogins
from accounts.access.operators import api as operators
from accounts.access.sessions import api as sessions
from accounts.access.sessions.store import SessionStore
from accounts.access.store import TokenStore
from accounts.access.tokens import ApiToken
from accounts.api.bearer_auth import BearerAuth
from accounts.api.dependencies import Dependencies
from accounts.api.error_answers import ERRORS
from accounts.api.errors import add_error_handlers, too_large
from accounts.api.large_bodies import LargeBodies
from accounts.api.request_counts import RequestCounts
from accounts.clients.api import elements, orders, profiles
from accounts.dead import api as dead
from accounts.examinations import api as examinations
from accounts.explanations import api as explanations
from accounts.installation.api import adoptions, inventory
from accounts.installation.api import servers as server_routes
from accounts.installation.servers import ServerDirectory
from accounts.jobs import api as jobs
from accounts.modes import api as modes
from accounts.notices import api as notices
from accounts.notices import templates_api as mail_templates
from accounts.operations import api as operations
from accounts.own import api as own
from accounts.packages import api as packages
from accounts.payments import api as payments
from accounts.products import api as products
from accounts.reaction import api as reaction
from accounts.reports import api as questions
from accounts.situation import api as situation
from accounts.tariffs import api as tariffs
from accounts.tariffs.uploads import api as uploads
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import OperatingMode

MAX_BODY = 1024 * 1024


class _Application(FastAPI):
    """The framework limits bodies around all middleware, so a 413 is replaced around it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await LargeBodies(super().__call__, too_large)(scope, receive, send)


def create_app(
    *,
    users: Sequence[ApiToken],
    clock: Clock,
    pool: Pool,
    servers: ServerDirectory | None,
    default_mode: OperatingMode = "live",
    failures: FailedLogins | None = None,
    link_key: bytes | None = None,
    page_url: str = "",
) -> FastAPI:
    """The application, ready to be served. Its OpenAPI document is at /v1/openapi.json.

    `users` are the tokens of the settings; `failures` is where failed logins are counted.
    `link_key` and `page_url` are those of the links to clients' own pages; without them there are
    none. `servers` lists the servers that products may name; None (in tests alone) accepts any.
    """
    app = _Application(
        title="ringfence accounts",
        version="1",
        description="Clients, orders, products, packages, tariffs, payments, and questions.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        max_body_size=MAX_BODY,
        responses=ERRORS,
        generate_unique_id_function=_operation_id,
        # BearerAuth has refused requests without a token before; this documents it.
        dependencies=[Depends(HTTPBearer(auto_error=False))],
    )
    failures = failures or FailedLogins()
    directory = TokenDirectory(users, TokenStore(pool, clock), SessionStore(pool, clock), clock)
    clients = ClientAccess(pool, clock)
    links = ClientLinks(clients, clock, link_key, page_url)
    app.state.dependencies = Dependencies.from_pool(
        pool, clock, servers, default_mode, directory, failures, links, clients
    )
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router, prefix="/v1")
    app.add_middleware(BearerAuth, directory=directory, clients=clients, failures=failures)
    app.add_middleware(RequestCounts)  # The middleware added last is the outermost.
    return app


def _operation_id(route: APIRoute) -> str:
    """The name of the function: generated clients call the operation by it."""
    return route.name


ROUTERS = (
    profiles.router,
    orders.router,
    elements.router,
    products.router,
    packages.router,
    tariffs.router,
    uploads.router,
    payments.router,
    questions.router,
    situation.router,
    reaction.router,
    explanations.router,
    operations.router,
    modes.router,
    jobs.router,
    notices.router,
    mail_templates.router,
    dead.router,
    server_routes.router,
    inventory.router,
    adoptions.router,
    examinations.router,
    access.router,
    operators.router,
    sessions.router,
    client_links.router,
    own.router,
)
