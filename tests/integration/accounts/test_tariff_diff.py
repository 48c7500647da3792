"""The diff of two versions equals a naive comparison of all rows."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.accounts import RunningApi, running_api

KINDS = ("added", "removed", "dearer", "cheaper", "changed")
Facts = tuple[str, str, str, str]
"""Description, rate, increment, status."""

DECK = st.dictionaries(
    st.sampled_from(["1", "12", "120", "1204", "44", "4", "93", "9", "99"]),
    st.tuples(
        st.sampled_from(["Canada", "Manitoba", "=cmd()"]),
        st.sampled_from(["0", "0.01", "0.009", "0.1", "10", "9", "0.0100000001", "1000000"]),
        st.sampled_from(["6/6", "60/60", "60/6"]),
        st.sampled_from(["0", "1"]),
    ),
    min_size=1,
)


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


def card(deck: dict[str, Facts]) -> bytes:
    rows = [f"{text},{prefix},{rate},{increment},{status}"
            for prefix, (text, rate, increment, status) in deck.items()]  # fmt: skip
    return "\n".join(["Description,Prefix,RateValue,Increment,status", *rows]).encode()


def kind_of(before: Facts | None, after: Facts | None) -> str:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if Decimal(before[1]) != Decimal(after[1]):
        return "dearer" if Decimal(after[1]) > Decimal(before[1]) else "cheaper"
    return "same" if before == after else "changed"


def size(change: dict[str, Any]) -> Decimal:
    sides = [Decimal(side["rate"]) if side else Decimal() for side in
             (change["before"], change["after"])]  # fmt: skip
    return abs(sides[0] - sides[1])


async def test_a_diff_equals_a_comparison_of_every_row(api: RunningApi) -> None:
    """Counts, largest first, and every row: of a dry run, an import, and two versions."""
    loop = asyncio.get_running_loop()
    names = count()

    async def compare(old: dict[str, Facts], new: dict[str, Facts]) -> None:
        place = f"/v1/tariffs/t{next(names)}"
        url = f"{place}/versions"
        params: dict[str, Any] = {"currency": "CAD", "largest": 1000}
        first = (await api.http.post(url, params=params, content=card(old))).json()
        tried = await api.http.post(url, params={**params, "dry_run": True}, content=card(new))
        second = (await api.http.post(url, params=params, content=card(new))).json()
        diff = second["diff"]
        assert tried.json()["diff"] == diff
        pair = {"old": first["version_id"], "new": second["version_id"]}
        apart = (await api.http.get(f"{place}/diff", params={**pair, "largest": 1000})).json()
        assert apart == diff
        rows = (await api.http.get(f"{place}/changes", params={**pair, "limit": 500})).json()
        check(old, new, diff, rows["items"])

    @settings(max_examples=60, deadline=None)
    @given(DECK, DECK)
    def examples(old: dict[str, Facts], new: dict[str, Facts]) -> None:
        asyncio.run_coroutine_threadsafe(compare(old, new), loop).result(60)

    await asyncio.to_thread(examples)


def check(
    old: dict[str, Facts], new: dict[str, Facts], diff: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    expected = {p: kind_of(old.get(p), new.get(p)) for p in {**old, **new}}
    kinds = list(expected.values())
    assert diff["counts"] == {kind: kinds.count(kind) for kind in (*KINDS, "same")}
    both = [(old[p], new[p]) for p in old if p in new]
    assert diff["touched"] == {
        "increment": sum(a[2] != b[2] for a, b in both),
        "description": sum(a[0] != b[0] for a, b in both),
        "status": sum(a[3] != b[3] for a, b in both),
    }
    differing = {p: kind for p, kind in expected.items() if kind != "same"}
    assert [(row["prefix"], row["kind"]) for row in rows] == sorted(differing.items())
    for row in rows:
        for side, deck in (("before", old), ("after", new)):
            facts = deck.get(row["prefix"])
            assert (row[side] and tuple(map(str, row[side].values()))) == facts
    order = [(KINDS.index(row["kind"]), -size(row), row["prefix"]) for row in diff["largest"]]
    assert order == sorted(order)
    assert sorted(map(str, diff["largest"])) == sorted(map(str, rows))


async def test_only_the_largest_changes_of_each_kind_are_shown(api: RunningApi) -> None:
    deck = {str(100 + n): ("A", f"0.{n + 100}", "6/6", "1") for n in range(50)}
    dearer = {p: (t, f"{int(p)}", i, s) for p, (t, r, i, s) in deck.items()}
    url = "/v1/tariffs/t/versions"
    params: dict[str, Any] = {"currency": "CAD", "largest": 3}
    await api.http.post(url, params=params, content=card(deck))
    answer = await api.http.post(url, params=params, content=card(dearer))
    assert [row["prefix"] for row in answer.json()["diff"]["largest"]] == ["149", "148", "147"]
