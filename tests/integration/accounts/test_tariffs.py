"""Tariff files take effect whole or not at all; each is an immutable version."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest

from tests.support.accounts import CARD, RunningApi, running_api

TARIFF = "tariff.published.v1"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def test_a_version_is_published_with_the_digest_of_its_rows(
    api: RunningApi, database: str
) -> None:
    answer = await api.import_card()
    assert answer.status_code == 201
    (event,) = await api.published(TARIFF)
    assert event["version_id"] == answer.json()["version_id"]
    assert (event["rows"], event["currency"], event["name"]) == (3, "CAD", "retail")
    connection = await asyncpg.connect(database, server_settings={"role": "ringfence_rating"})
    try:
        rows = await connection.fetch(
            "select * from accounts.tariff_rate where version_id = $1 order by prefix",
            event["version_id"],
        )
    finally:
        await connection.close()
    lines = [
        f"{r['prefix']},{r['description']},{r['rate']},{r['initial_s']}/{r['increment_s']},"
        f"{r['status']}\n"
        for r in rows
    ]
    assert lines[1] == "1416,Toronto,0.008,30/6,1\n"
    assert event["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


async def test_a_file_with_a_bad_row_changes_nothing_and_lists_its_lines(api: RunningApi) -> None:
    await api.import_card()
    bad = CARD + "Nowhere,12a4,0.1,6\nFree,1999,free,6\nTwice,1,0.02,6\nNone,1888,0,0\n"
    answer = await api.import_card(bad)
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert [(r["line"], r["field"]) for r in error["rows"]] == [
        (5, "Prefix"),
        (6, "RateValue"),
        (7, "Prefix"),
        (8, "Increment"),
    ]
    assert error["bad_rows"] == 4
    assert len(await api.published(TARIFF)) == 1
    assert await api.database.fetchval("select count(*) from accounts.tariff_version") == 1
    assert await api.database.fetchval("select count(*) from accounts.tariff_rate") == 3


async def test_the_same_file_again_returns_the_same_version(api: RunningApi) -> None:
    first = await api.import_card()
    again = await api.import_card(CARD.replace("0.0100", "0.01"))
    changed = await api.import_card(CARD.replace("0.0100", "0.02"))
    back = await api.import_card()
    assert (again.status_code, again.json()["version_id"]) == (200, first.json()["version_id"])
    assert (first.json()["new"], again.json()["new"]) == (True, False)
    assert (changed.status_code, back.status_code) == (201, 201)
    versions = (await api.http.get("/v1/tariffs/retail/versions")).json()["items"]
    assert len(versions) == 3
    (listed,) = (await api.http.get("/v1/tariffs")).json()["items"]
    force = {"in_force": back.json()["version_id"], "in_force_rows": 3}
    assert listed.items() <= (back.json() | force).items()


async def test_concurrent_uploads_of_one_file_are_one_version(api: RunningApi) -> None:
    answers = await asyncio.gather(*(api.import_card() for _ in range(5)))
    assert sorted(a.status_code for a in answers) == [200, 200, 200, 200, 201]
    assert len(await api.published(TARIFF)) == 1


async def test_effective_from_is_kept_and_needs_a_zone(api: RunningApi) -> None:
    url = "/v1/tariffs/retail/versions"
    at = {"currency": "CAD", "effective_from": "2026-12-01T00:00:00-05:00", "name": "Retail"}
    answer = await api.http.post(url, params=at, content=CARD)
    naive = await api.http.post(
        url, params={**at, "effective_from": "2026-12-01T00:00:00"}, content=CARD
    )
    assert answer.json()["effective_from"] == "2026-12-01T05:00:00Z"
    assert (await api.published(TARIFF))[0]["name"] == "Retail"
    assert naive.status_code == 422
    assert naive.json()["error"]["field"] == "effective_from"


async def test_a_tariff_keeps_its_currency(api: RunningApi) -> None:
    await api.import_card()
    answer = await api.http.post(
        "/v1/tariffs/retail/versions", params={"currency": "USD"}, content=CARD
    )
    assert answer.status_code == 409
    remembered = await api.http.post("/v1/tariffs/retail/versions", content=CARD)
    assert remembered.json()["currency"] == "CAD"
    missing = await api.http.post("/v1/tariffs/another/versions", content=CARD)
    assert (missing.status_code, missing.json()["error"]["field"]) == (422, "currency")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Prefix,RateValue\n1,2\n",
        b"\xff\xfe\x00",
        CARD.encode("utf-16")[:9],
        CARD[:41].encode(),
    ],
)
async def test_a_body_that_is_not_a_tariff_file_is_refused(api: RunningApi, content: bytes) -> None:
    answer = await api.http.post(
        "/v1/tariffs/retail/versions", params={"currency": "CAD"}, content=content
    )
    assert answer.status_code == 422
    assert (await api.http.get("/v1/tariffs/retail/versions")).status_code == 404


async def test_the_role_of_accounts_cannot_alter_a_version(api: RunningApi, database: str) -> None:
    await api.import_card()
    connection = await asyncpg.connect(database, server_settings={"role": "ringfence_accounts"})
    try:
        for table in ("tariff_version", "tariff_rate"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"delete from accounts.{table}")
    finally:
        await connection.close()


async def test_a_hundred_thousand_rows_in_one_step(
    api: RunningApi, record_property: Callable[[str, object], None]
) -> None:
    def rows() -> Iterator[str]:
        yield "Description,Prefix,RateValue,Increment\n"
        for number in range(100_000):
            yield f"Place {number},{1_200_000 + number},0.{number % 9973:06d},{number % 60 + 1}/6\n"

    content = "".join(rows())
    began = time.perf_counter()
    answer = await api.import_card(content)
    took_s = time.perf_counter() - began
    assert answer.status_code == 201, answer.text
    assert answer.json()["rows"] == 100_000
    assert await api.database.fetchval("select count(*) from accounts.tariff_rate") == 100_000
    record_property("import_of_100000_rows_s", f"{took_s:.2f}")
    print(f"100,000 rows: {took_s:.2f} s")


async def test_a_tariff_may_be_larger_than_other_bodies_up_to_its_own_bound(
    api: RunningApi,
) -> None:
    url = "/v1/tariffs/retail/versions"
    params = {"currency": "CAD"}
    blank_lines = (b"," * 1023 + b"\n") * 1024

    async def upload(mebibytes: int) -> AsyncIterator[bytes]:
        yield CARD.encode()
        for _ in range(mebibytes):
            yield blank_lines

    large = await api.http.post(url, params=params, content=upload(3))
    assert large.status_code == 201
    too_large = await api.http.post(url, params=params, content=upload(100))
    assert too_large.status_code == 413
