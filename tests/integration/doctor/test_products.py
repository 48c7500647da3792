"""`ringfence doctor` compares products and the servers' last inventories, both ways."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ringfence_contracts.events.account import Service
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.fusionpbx.things import Route
from tests.support.doctor import Run, doctor_command
from tests.support.fusionpbx import MCON, RUCKEN, SUPER_KEY, outbound, simulated

TRUNK = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"
ITEMS = [
    ("tenant", MCON, MCON, "", "", True, ""),
    ("extension", MCON, "2112", "", "Ann", True, ""),
    ("extension", MCON, "2113", "", "", True, ""),
    ("did", MCON, "5192229000", "", "", True, "2112"),
    ("gateway", MCON, "Trunk A", TRUNK, "", True, ""),
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str) -> Run:
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    return doctor_command(monkeypatch, tmp_path)


def entry(url: str | None = None, **changed: Any) -> dict[str, Any]:
    """A FusionPBX; without a URL it is unreachable, which does not prevent the comparison."""
    return {
        "kind": "fusionpbx",
        "url": url or f"http://127.0.0.1:{free_port()}",
        "host": MCON,
        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
        "all_tenants": True,
        **changed,
    }


def product(service_id: str = "s1", **changed: Any) -> Service:
    fields = {
        "service_id": service_id,
        "name": "Line",
        "kind": "fusionpbx",
        "server_id": "pbx1",
        "tenant": MCON,
        "dids": ("5192229000",),
        "extensions": ("2112", "2113"),
    }
    return Service.model_validate(fields | changed)


OLD = "now() - interval '9 days'"


async def enter(
    database: str,
    *products: Service,
    items: Sequence[Sequence[object]] = ITEMS,
    read: str = "now()",
    gaps: Sequence[object] = (),
    error: str = "",
    changed: Any = OLD,
) -> None:
    """Products of one client, and the inventory of server pbx1."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "insert into accounts.account (account_id, version, currency, time_zone, client,"
            " profile, changed_at) values ('a1', 1, 'USD', 'UTC', '{}', '{}', now())"
        )
        await connection.executemany(
            "insert into accounts.product (service_id, account_id, fields, service, changed_by,"
            f" changed_at) values ($1, 'a1', '{{}}', $2, 'test', {changed})",
            [(p.service_id, p.model_dump_json()) for p in products],
        )
        await connection.executemany(
            "insert into suspender.inventory (server_id, kind, tenant, name, uuid, label, enabled,"
            " leads_to, read_at) values ('pbx1', $1, $2, $3, $4, $5, $6, $7, now())",
            items,
        )
        if read:
            await connection.execute(
                "insert into suspender.inventory_read (server_id, asked_at, read_at, next_at,"
                f" gaps, error) values ('pbx1', now(), {read}, now(), $1, $2)",
                list(gaps),
                error,
            )
    finally:
        await connection.close()


async def said(run: Run, *options: str, **servers: Any) -> list[tuple[str, ...]]:
    """The doctor's results about products, as (subject, check, state, said, do)."""
    result = await run("--json", *options, **(servers or {"pbx1": entry()}))
    found = [tuple(f.values()) for f in json.loads(result.stdout)]
    checks = ("inventory", "products", "no product", "911", "outbound", "server", "compared")
    return [f for f in found if f[1] in checks]


def state_of(found: list[tuple[str, ...]], check: str) -> list[tuple[str, ...]]:
    """Each result of a check as (state, said, do)."""
    return [f[2:] for f in found if f[1] == check]


async def test_products_that_match_the_inventory_are_ok(run: Run, database: str) -> None:
    await enter(database, product(gateway_ids=(TRUNK,), outbound_only=True))
    found = await said(run, "--server", "pbx1")
    assert [(f[1], f[2]) for f in found] == [("inventory", "ok"), ("products", "ok")]
    assert found[0][3].endswith("1 tenants, 2 extensions, 1 gateways, 1 DIDs")


@pytest.mark.parametrize(
    ("changed", "state", "words", "do"),
    [
        ({"tenant": "mcom.wat5.ictvoip.ca"}, "fail", "names tenant mcom", f"is {MCON} "),
        (
            {"gateway_ids": (TRUNK[:-1] + "0",), "suspend_by": "gateway"},
            "fail",
            "names gateway 7b3c",
            f"is {TRUNK} (gateway",
        ),
        ({"extensions": ("2112", "2123")}, "warn", "names extension 2123 of", "is 2113 (extension"),
        ({"extensions": ("77",)}, "fail", "names extension 77 of", "correct the product"),
        ({"dids": ("4165550100",)}, "warn", "names DID 4165550100 of", "correct the product"),
    ],
)
async def test_a_name_that_the_server_does_not_have_is_reported(
    run: Run, database: str, changed: dict[str, Any], state: str, words: str, do: str
) -> None:
    await enter(database, product(**changed))
    [(got, text, what)] = state_of(await said(run, "--server", "pbx1"), "products")
    assert got == state
    assert text.startswith("product s1 of client a1 ")
    assert words in text
    assert "which the server does not have" in text
    assert do in what


async def test_a_product_of_an_unknown_server_is_reported_if_all_are_checked(
    run: Run, database: str
) -> None:
    await enter(database, product(server_id="pbx11"), read="")
    [(state, text, do)] = state_of(await said(run), "server")
    assert (state, do) == ("fail", "enter pbx1 in its place")
    assert text == "product s1 of client a1 is on server pbx11, which is not in the servers file"
    assert await said(run, "--server", "pbx1", pbx1=entry(), pbx2=entry()) == []


async def test_what_no_product_names_is_listed_with_a_product_to_enter(
    run: Run, database: str
) -> None:
    other = [
        ("tenant", RUCKEN, RUCKEN, "", "", True, ""),
        ("extension", RUCKEN, "101", "", "", True, ""),
    ]
    await enter(database, product(extensions=("2113",), dids=()), items=[*ITEMS, *other])
    found = state_of(await said(run, "--server", "pbx1"), "no product")
    assert {state for state, *_ in found} == {"warn"}
    [tenant, rest] = found
    assert tenant[1] == f"tenant {RUCKEN} has no product: its calls stay unrated"
    assert f"domain_tenant_and_main_dids: {RUCKEN}; extensions: 101; suspend_by: ext" in tenant[2]
    assert rest[1] == (
        f"no product of {MCON} names extensions 2112 and DIDs 5192229000: their calls stay unrated"
    )


@pytest.mark.parametrize(
    ("how", "state", "words"),
    [
        ({"read": ""}, "warn", "was never read"),
        (
            {"read": "null", "error": "no answer"},
            "warn",
            "no product is compared with it: no answer",
        ),
        ({"read": "now() - interval '3 days'"}, "warn", "read 3 d ago"),
        ({"error": "no answer"}, "warn", "the last try failed: no answer"),
        ({"gaps": ["DIDs: no right"]}, "warn", "not read: DIDs: no right"),
    ],
)
async def test_an_incomplete_or_old_inventory_is_reported(
    run: Run, database: str, how: dict[str, Any], state: str, words: str
) -> None:
    await enter(database, product(), **how)
    [(got, text, do)] = state_of(await said(run, "--server", "pbx1"), "inventory")
    assert got == state
    assert words in text
    assert do


async def test_a_product_newer_than_the_inventory_is_not_compared(run: Run, database: str) -> None:
    await enter(database, product(tenant="new.example"), changed="now() + interval '1 s'")
    [(state, text, do)] = state_of(await said(run, "--server", "pbx1"), "products")
    assert (state, text) == ("warn", "1 were entered after it was last read: s1")
    assert "ringfence server inventory pbx1 --refresh" in do


async def test_many_differences_are_counted(run: Run, database: str) -> None:
    many = [product(f"s{n}", tenant=f"t{n}.example", extensions=("1",)) for n in range(25)]
    await enter(database, *many)
    found = state_of(await said(run, "--server", "pbx1"), "products")
    assert len(found) == 21
    assert found[-1][1] == "5 more things are named that the server does not have"


async def test_products_suspended_as_a_whole_are_counted_for_911(run: Run, database: str) -> None:
    products = (product(), product("s2", extensions=("2113",), outbound_only=True))
    await enter(database, *products)
    [(state, text, do)] = state_of(await said(run, "--server", "pbx1"), "911")
    assert state == "warn"
    assert text == "does not work while off for 1 of 2 products: they are switched whole"
    assert "set `suspend_by` to outbound" in do


@pytest.mark.parametrize("tests", [True, False])
async def test_outbound_products_need_routes_that_test_toll_allow(
    run: Run, database: str, monkeypatch: pytest.MonkeyPatch, tests: bool
) -> None:
    await enter(database, product(outbound_only=True), product("s2", extensions=("1",), dids=()))
    async with simulated(monkeypatch, clock=time.time) as pbx:
        pbx.pbx.place(outbound())
        pbx.pbx.add_route(Route("Long distance", toll_allow="local" if tests else ""))
        found = await said(run, "--server", "pbx1", pbx1=entry(pbx.url))
    failed = state_of(found, "outbound")
    assert [state for state, *_ in failed] == ([] if tests else ["fail"])
    [(_, _, do)] = state_of(found, "911")
    assert ("add the condition ${toll_allow}" in do) is not tests


async def test_an_unreadable_database_is_a_warning(
    run: Run, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("drop view report.product cascade")
    await connection.close()
    [(state, text, do)] = state_of(await said(run, "--server", "pbx1"), "compared")
    assert (state, bool(do)) == ("warn", True)
    assert "cannot be read (UndefinedTableError)" in text
