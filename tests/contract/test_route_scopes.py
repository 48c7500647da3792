"""Every route of the API declares the scope that a token needs for it."""

from typing import cast

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from accounts.access.scopes import SCOPES, TokenScope
from accounts.access.tokens import parse_tokens
from accounts.api.app import ROUTERS, create_app
from accounts.api.route_scopes import NeededScope
from ringfence.clock import SystemClock
from ringfence.postgres.pool import Pool

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


FOR_ANY_TOKEN = {"DELETE /sessions/current", "GET /sessions/current"}
WITHOUT_TOKEN = {"POST /sessions", "POST /client-sessions", "POST /client-link-requests"}
OF_A_CLIENT = {
    "GET /me", "PATCH /me", "DELETE /me/session", "GET /me/calls", "GET /me/calls/{call_id}",
    "GET /me/statement", "GET /me/prices",
}  # fmt: skip
WITHOUT_SCOPE = FOR_ANY_TOKEN | WITHOUT_TOKEN | OF_A_CLIENT


def declared(dependant: Dependant) -> list[NeededScope]:
    """The scopes that a route declares."""
    return [d.call for d in dependant.dependencies if isinstance(d.call, NeededScope)]


def name(route: APIRoute) -> str:
    """A route as a person names it: `GET /clients`."""
    return f"{'/'.join(sorted(route.methods or ()))} {route.path}"


def test_these_are_all_routes_of_the_application() -> None:
    app = create_app(
        users=parse_tokens("tester:a-token-for-tests"),
        clock=SystemClock(),
        pool=cast(Pool, None),  # no database is needed to describe the routes
        servers=None,
    )
    described = app.openapi()["paths"].values()
    assert sum(map(len, described)) == len(ROUTES) > 70
    assert len(app.routes) == len(ROUTERS) + 1, "and the OpenAPI document, which any token may read"


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_route_declares_one_scope(route: APIRoute) -> None:
    (needed,) = declared(route.dependant)
    free = name(route) in WITHOUT_SCOPE
    assert (needed.scope is None) if free else (needed.scope in SCOPES)


@pytest.mark.parametrize("route", [r for r in ROUTES if name(r) not in WITHOUT_SCOPE], ids=name)
def test_read_is_enough_to_read_and_for_nothing_else(route: APIRoute) -> None:
    (needed,) = declared(route.dependant)
    expected: set[TokenScope] = {"read", "admin"} if route.methods == {"GET"} else set(SCOPES)
    assert needed.scope in expected - (set() if route.methods == {"GET"} else {"read"})


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_only_the_routes_of_a_client_are_open_to_a_client(route: APIRoute) -> None:
    (needed,) = declared(route.dependant)
    assert needed.own == (name(route) in OF_A_CLIENT) == route.path.startswith("/me")
    assert not needed.own or "{account_id}" not in route.path


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_path_has_the_part_that_the_servers_are_found_by(route: APIRoute) -> None:
    (needed,) = declared(route.dependant)
    part = {"server": "{server_id}", "client": "{account_id}"}.get(needed.concerns, "")
    assert part in route.path


def test_tokens_and_operators_are_for_admins_alone() -> None:
    access = ("/tokens", "/operators", "/login-links")
    routes = [route for route in ROUTES if route.path.startswith(access)]
    assert len(routes) == 5 + 5 + 1
    assert {declared(route.dependant)[0].scope for route in routes} == {"admin"}
