"""schemathesis over every route of the API: what its OpenAPI document promises is true.

No response is a 5xx, none has a status or a body that the document does not describe; and every
route describes its answer by a type.
"""

import asyncio
import base64
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import schemathesis
import schemathesis.specs.openapi.schemas  # otherwise imported in the midst of a test
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.accounts import CLIENT, FUSIONPBX, TOKEN, RunningApi, running_api

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
OWN = "/v1/me"
"""Below it are the routes of a client's own session, closed to operators."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    response_schema_conformance,
    content_type_conformance,
]
EXAMPLES = 15


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


@pytest.fixture
async def filled(api: RunningApi) -> RunningApi:
    """With a client, a tariff, a package, a product and a payment, so that lists have rows."""
    await api.client("anna", opening_balance="50")
    await api.import_card()
    await api.put("packages/retail", {"tariff_id": "retail"})
    await api.put("clients/anna/products/p1", {**FUSIONPBX, "package": "retail"})
    assert (await api.pay("k", {"amount": "25", "currency": "CAD"})).status_code < 300
    await api.client("0", email="0@example.com")
    return api


async def opened_session(api: RunningApi) -> dict[str, str]:
    """The headers of a new session of the client anna."""
    return {"Authorization": f"Bearer {await api.session()}"}


async def document(api: RunningApi) -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get("/v1/openapi.json")).json()
    return found


def broken_promises(
    described: dict[str, Any], url: str, client: Callable[[], dict[str, str]]
) -> dict[str, list[str]]:
    """What schemathesis finds, by route; each kind of failure of a route once.

    A client's own routes are asked with a session of `client`, a new one for each route: they
    include the one that ends it.
    """
    schema = schemathesis.openapi.from_dict(described)
    found: dict[str, list[str]] = defaultdict(list)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        headers = client() if operation.path.startswith(OWN) else HEADERS
        for failure in failures_of(operation, url, headers):
            found[operation.label].append(failure)
    return dict(found)


def failures_of(operation: Any, url: str, headers: dict[str, str]) -> list[str]:
    """The failures of one route, over EXAMPLES requests by its document, valid and not."""
    failures: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        response = case.call(base_url=url, headers=headers)
        try:
            case.validate_response(response, checks=CHECKS, headers=headers)
        except (AssertionError, BaseExceptionGroup) as failure:
            text = str(failure)
            if isinstance(failure, BaseExceptionGroup):
                text = "; ".join(str(each) for each in failure.exceptions)
            failures.append(f"{response.status_code}: {text[:600]}")

    ask()
    return sorted(set(failures))[:3]


async def test_every_response_is_as_documented(filled: RunningApi) -> None:
    described = await document(filled)
    loop = asyncio.get_running_loop()

    def client() -> dict[str, str]:
        return asyncio.run_coroutine_threadsafe(opened_session(filled), loop).result(timeout=30)

    found = await asyncio.to_thread(broken_promises, described, filled.url, client)
    count = sum(len(methods) for methods in described["paths"].values())
    print(f"\n{count} routes, {EXAMPLES} requests each, {len(found)} routes break a promise")
    assert found == {}, json.dumps(found, indent=1)


async def test_every_route_describes_its_answer_by_a_type(api: RunningApi) -> None:
    described = await document(api)
    untyped = [
        f"{method.upper()} {path}"
        for path, methods in described["paths"].items()
        for method, route in methods.items()
        for status, answer in route["responses"].items()
        if status.startswith("2") and status != "204"
        and not _is_typed(answer.get("content", {}), described)
    ]  # fmt: skip
    assert untyped == []


def _is_typed(content: dict[str, Any], described: dict[str, Any]) -> bool:
    """Whether an answer's schema is that of an object with named fields, or of a page of them."""
    for kind, media in content.items():
        schema = media.get("schema", {})
        if kind != "application/json":
            return True
        if "$ref" in schema or "anyOf" in schema or "oneOf" in schema:
            return True
        if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
            return True
        extra = schema.get("additionalProperties")
        return isinstance(extra, dict) and ("$ref" in extra or "type" in extra)
    return False


TOO_LARGE = base64.urlsafe_b64encode(b'["2026-01-01T00:00:00Z", "9223372036854775808"]').decode()
CURSORS = [
    "x",
    "%00",
    "é",
    base64.urlsafe_b64encode(b"[]").decode(),
    base64.urlsafe_b64encode(b'["0001-01-01T00:00:00+14:00", "a"]').decode(),
    base64.urlsafe_b64encode(b'["9999-12-31T23:59:59Z", "0"]').decode(),
    TOO_LARGE,
    base64.urlsafe_b64encode(b"[" * 5000).decode(),
    base64.urlsafe_b64encode(b'["\\u0000"]').decode(),
    base64.urlsafe_b64encode(b'["\\ud800"]').decode(),
    base64.urlsafe_b64encode(b"[1e999]").decode(),
    base64.urlsafe_b64encode(b'[["a"]]').decode(),
]  # fmt: skip


async def test_a_crafted_cursor_is_refused_in_words(filled: RunningApi) -> None:
    described = await document(filled)
    asked = 0
    for path, methods in described["paths"].items():
        names = {p["name"] for p in methods.get("get", {}).get("parameters", [])}
        if "cursor" not in names or "{server_id}" in path:  # no server exists here
            continue
        real = re.sub(r"\{\w+\}", "anna", path.replace("{tariff_id}", "retail"))
        headers = await opened_session(filled) if path.startswith(OWN) else HEADERS
        for cursor in CURSORS:
            params = {"cursor": cursor} | dict.fromkeys(names & {"old", "new"}, 1)
            answer = await filled.http.get(real, params=params, headers=headers)
            asked += 1
            if path == "/v1/operators" and cursor == TOO_LARGE:  # digits are a name
                assert answer.status_code == 200, answer.text
                continue
            assert answer.status_code == 422, (path, cursor, answer.text)
            fields = {error["field"] for error in answer.json()["errors"]}
            assert "cursor" in fields, (path, cursor, answer.text)
    assert asked > 10 * len(CURSORS)


async def test_a_body_that_is_too_large_is_refused_in_the_documented_form(api: RunningApi) -> None:
    large = json.dumps({**CLIENT, "last_name": "x" * 2_000_000}).encode()
    headers = {"Content-Type": "application/json"}
    answer = await api.http.put("/v1/clients/anna", content=large, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"].startswith("a body of at most 1 MiB")
    assert answer.json()["errors"]
