"""Explanations of calls and statements of accounts: what rating stored, by its views."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import pytest

from rating.rerating.plan import RerateOrder
from ringfence.postgres.pool import open_pool
from ringfence_contracts.ids import charge_id
from ringfence_contracts.records import Received
from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_testing.records import NOON, account, call, from_bytes
from tests.support.explained import Explained, open_explained
from tests.support.rating import payment

DEARER = ("1", "North America", "0.03", 60, 60, 1)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
async def here(database: str) -> AsyncIterator[Explained]:
    async with open_explained(database) as opened:
        yield opened


async def test_a_charge_is_explained_to_the_last_digit(here: Explained) -> None:
    await here.bench.save_accounts(
        account(
            version=2,
            package={"markup_percent": "120", "connection_fee": "0.05", "free_minutes": 1},
        )
    )
    first, second = call(billsec=130, destination_number="011442079460000"), call(2, billsec=130)
    await here.bench.rate(first, second)
    words = await here.words(str(first.call_id))
    for part in (
        "number 442079460000, dialled as 011442079460000, abroad",
        "prefix 44 (United Kingdom) of tariff north, version 1",
        "rate 0.02 per minute × 120 % = 0.024",
        "130 s of talk: the first 60 s, then every 60 s = 180 s",
        "180 s × 0.024 / 60 + 0.05 for the connection = 0.122, so 0.122 CAD",
        "rounding once per call, half up, to 0.000001",
        "balance after -0.122 CAD",
    ):
        assert part in words
    words = await here.words("call-2@pbx1")
    assert "60 s by the month's free minutes; 120 s are paid for" in words
    assert "120 s × 0.012 / 60 + 0.05 for the connection = 0.074, so 0.074 CAD" in words


async def test_the_facts_of_a_charge_are_typed(here: Explained) -> None:
    await here.bench.rate(call())
    found = await here.call("call-1@pbx1")
    assert found["outcome"] == "charged"
    assert found["call_id"] == str(call().call_id)
    (entry,) = found["entries"]
    assert (entry["kind"], entry["amount_micro"], entry["amount"]) == ("charge", -10_000, "-0.01")
    assert (entry["reverses"], entry["reversed_by"]) == (None, None)
    assert entry["explanation"]["explanation"]["tariff_id"] == "north"
    started = next(line for line in found["lines"] if line["label"] == "started")
    assert datetime.fromisoformat(started["at"]) == call().started_at
    assert started["text"] == f"{call().started_at:%Y-%m-%d %H:%M:%S} UTC"
    posted = next(line for line in found["lines"] if line["label"] == "posted")
    assert "." not in posted["text"], "no fractions of a second in words"


async def test_a_call_is_found_by_every_name_that_an_operator_has(here: Explained) -> None:
    await here.bench.rate(call(), call(2, extension="2999"))
    await here.bench.sql(
        "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition)"
        " values ($1, 'pbx1', 'north.example', 'pull', 'published')",
        call().call_id,
    )
    entry_id = charge_id(str(call().call_id))
    whole = await here.call(str(call().call_id))
    names = (
        str(entry_id), str(entry_id)[:8], str(entry_id)[:13], entry_id.hex.upper(),
        str(call().call_id)[:8], f" {call().call_id} ", "call-1@pbx1",
    )  # fmt: skip
    for name in names:
        assert await here.call(quote(name)) == whole
    unrated = call(2).call_id
    assert await here.call(str(unrated)[:8]) == await here.call(str(unrated))


async def test_an_id_of_a_pbx_may_hold_any_character(here: Explained) -> None:
    source_call_id = "a/b?c#d@e%20f"
    await here.bench.rate(call(source_call_id=source_call_id))
    found = await here.call(quote(f"{source_call_id}@pbx1", safe=""))
    assert found["outcome"] == "charged"


@pytest.mark.parametrize("name", ["nonsense", "1234567", "@pbx1", "call-1@", "g" * 32, "a" * 33])
async def test_a_name_of_no_known_form_is_refused(here: Explained, name: str) -> None:
    answer = await here.api.http.get(f"/v1/calls/{name}")
    assert answer.status_code == 422
    message = answer.json()["error"]["message"]
    assert "its first 8 digits, or ID@SERVER as the PBX numbers it" in message


@pytest.mark.parametrize("name", ["00000000", "call-1@pbx1", "0" * 32])
async def test_an_unknown_call_is_404_and_says_where_to_look(here: Explained, name: str) -> None:
    answer = await here.api.http.get(f"/v1/calls/{name}")
    assert answer.status_code == 404
    message = answer.json()["error"]["message"]
    assert "there is no" in message
    assert f"'{name}'" in message
    assert "`ringfence account ACCOUNT`" in message


async def test_digits_that_several_ids_begin_with_are_not_guessed(here: Explained) -> None:
    ids = [UUID(f"abcdef01-0000-0000-0000-{number:012d}") for number in range(12)]
    for found in ids:
        await here.bench.sql(
            "insert into rating.dead_call (call_id, reason, record) values ($1, 'x', 'y')", found
        )
    answer = await here.api.http.get("/v1/calls/ABCDEF01")
    assert answer.status_code == 409
    message = answer.json()["error"]["message"]
    assert f"several begin like that, type more: {ids[0]}, {ids[1]}" in message
    assert message.endswith(", …")
    assert (await here.call(str(ids[11])))["outcome"] == "dead"


async def test_unrated_dead_and_not_billed_calls_are_explained_with_a_remedy(
    here: Explained,
) -> None:
    await here.bench.rate(call(1, extension="2999"), call(2, billsec=0))
    bad = from_bytes(CALL_COMPLETED, b'{"billsec": -1}', call(3).call_id)
    assert isinstance(bad, Received)
    await here.bench.worker.handle([bad])
    words = await here.words(str(call(1).call_id))
    assert "not rated yet: unknown-product" in words
    assert f"then: ringfence unrated replay {call(1).call_id}" in words
    assert "not billed: it was not answered" in await here.words("call-2@pbx1")
    assert "dead: this record can never be rated" in await here.words("call-3@pbx1")
    found = [await here.call(f"call-{number}@pbx1") for number in (1, 2, 3)]
    assert [each["outcome"] for each in found] == ["unrated", "not-billed", "dead"]
    assert found[0]["unrated"]["reason"] == "unknown-product"
    assert found[1]["not_billed"]["detail"]["billsec"] == 0
    assert found[2]["dead"]["record_start"] == '{"billsec": -1}'


async def test_an_unreadable_record_of_a_call_that_was_rated_is_not_its_outcome(
    here: Explained,
) -> None:
    await here.bench.rate(call())
    await here.bench.sql(
        "insert into rating.dead_call (call_id, reason, record) values ($1, $2, $3)",
        call().call_id, "billsec: got -1, expected 0 or more", "x" * 700,
    )  # fmt: skip
    found = await here.call("call-1@pbx1")
    assert found["outcome"] == "charged"
    assert len(found["dead"]["record_start"]) == 500
    words = await here.words("call-1@pbx1")
    assert "another record of this call could not be read: billsec: got -1" in words
    assert "can never be rated" not in words


@pytest.mark.parametrize(
    ("disposition", "outcome", "text"),
    [
        ("published", "accepted", "accepted; rating has not processed it yet"),
        ("b-leg", "left-out", "b-leg when it was read: leg of another"),
        ("dead", "dead", "dead when it was read: leg of another"),
    ],
)
async def test_a_call_that_rating_does_not_have_is_shown_as_it_was_accepted(
    here: Explained, disposition: str, outcome: str, text: str
) -> None:
    await here.bench.sql(
        "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition, reason)"
        " values ($1, 'pbx1', 'north.example', 'pull', $2, 'leg of another')",
        call().call_id,
        disposition,
    )
    found = await here.call("call-1@pbx1")
    assert found["outcome"] == outcome
    assert found["accepted"]["server_id"] == "pbx1"
    assert text in await here.words("call-1@pbx1")


async def test_a_call_before_its_product_is_billed_names_the_bill_from_instant(
    here: Explained,
) -> None:
    await here.bench.save_accounts(
        account(version=2, service={"bill_from": NOON + timedelta(seconds=60)})
    )
    await here.bench.rate(call(1, billsec=59), call(2, billsec=60))
    words = await here.words("call-1@pbx1")
    assert "not billed: it ended before its product's bill-from instant" in words
    assert "billed from 2026-11-21 12:01:00 UTC" in words
    assert await here.bench.entries() == [("charge", -10_000)]


async def test_a_refund_names_the_refunded_payment(here: Explained) -> None:
    paid = payment("k", 5_000_000, reference="receipt 7")
    refund = payment("r", -2_000_000, kind="adjustment", refunds=paid.payment_id)
    await here.bench.pay(paid, refund)
    assert f"refunds payment {paid.payment_id}" in await here.words(str(refund.payment_id))
    found = await here.call(str(paid.payment_id)[:8])
    assert (found["call_id"], found["outcome"]) == (None, "top-up")
    assert "outcome top-up of 5.00 CAD" in await here.words(str(paid.payment_id))
    statement = await here.statement()
    assert statement["entries"][1]["what"] == f"refund of {str(paid.payment_id)[:8]}"


async def test_a_rerated_call_shows_both_charges_however_it_is_named(here: Explained) -> None:
    await here.bench.rate(call())
    await here.bench.publish_tariff(DEARER, version=2)
    order = RerateOrder("north", 2, "2026-11-01", "2026-12-01")
    run, _ = await here.bench.rerating().apply(order)
    words = await here.words("call-1@pbx1")
    assert "charged 0.01 CAD, and given back since" in words
    assert "charged 0.03 CAD account" in words
    assert f"re-rated by run {run.run_id}, in the place of" in words
    found = await here.call("call-1@pbx1")
    kinds = [entry["kind"] for entry in found["entries"]]
    assert kinds == ["charge", "reversal", "charge"]
    first, reversal, _ = found["entries"]
    assert first["reversed_by"] == reversal["entry_id"]
    assert reversal["reverses"] == first["entry_id"]
    for entry in found["entries"]:
        assert await here.call(entry["entry_id"]) == found
    statement = await here.statement()
    assert statement["entries"][1]["what"] == f"re-rated by {str(run.run_id)[:8]}"


async def spread(here: Explained) -> None:
    """Five calls, the third to fifth of them posted on the first, second and third of December."""
    await here.bench.rate(*(call(number) for number in range(1, 6)))
    await here.bench.sql(
        "update rating.ledger set posted_at = $1::timestamptz + (version - 3) * interval '1 day'",
        DECEMBER,
    )


async def test_the_statements_of_consecutive_periods_continue_each_other(here: Explained) -> None:
    await spread(here)
    day = timedelta(days=1)
    before = await here.statement(until=DECEMBER.isoformat())
    first = await here.statement(since=DECEMBER.isoformat(), until=(DECEMBER + day).isoformat())
    after = await here.statement(since=(DECEMBER + day).isoformat())
    found = [
        (each["opening"], each["entries_in_range"], each["sum"], each["closing"], each["differs"])
        for each in (before, first, after)
    ]
    assert found == [
        ("0.00", 2, "-0.02", "-0.02", ""),
        ("-0.02", 1, "-0.01", "-0.03", ""),
        ("-0.03", 2, "-0.02", "-0.05", ""),
    ]
    assert [entry["version"] for entry in after["entries"]] == [4, 5]
    assert {each["balance"] for each in (before, first, after)} == {"-0.05"}


async def test_a_period_without_entries_has_the_balance_of_that_time(here: Explained) -> None:
    await spread(here)
    long_ago = await here.statement(since="2020-01-01T00:00:00Z", until="2020-02-01T00:00:00Z")
    assert (long_ago["opening"], long_ago["closing"]) == ("0.00", "0.00")
    assert (long_ago["entries"], long_ago["differs"]) == ([], "")
    future = await here.statement(since="2100-01-01T00:00:00Z")
    assert (future["opening"], future["closing"], future["sum"]) == ("-0.05", "-0.05", "0.00")


async def test_entries_whose_times_are_out_of_order_are_in_one_period_each(
    here: Explained,
) -> None:
    """An entry's time is when its transaction began, which may have waited for a lock."""
    await spread(here)
    await here.bench.sql(
        "update rating.ledger set posted_at = $1::timestamptz - interval '1 second'"
        " where version = 4",
        DECEMBER,
    )
    before = await here.statement(until=DECEMBER.isoformat())
    after = await here.statement(since=DECEMBER.isoformat())
    assert [entry["version"] for entry in before["entries"]] == [1, 2, 3, 4]
    assert [entry["version"] for entry in after["entries"]] == [5]
    assert (before["closing"], after["opening"]) == ("-0.04", "-0.04")
    assert (before["differs"], after["differs"]) == ("", "")


async def test_the_newest_entries_come_first_by_pages_and_each_once(here: Explained) -> None:
    await here.bench.pay(payment("k", 5_000_000))
    await here.bench.rate(*(call(number) for number in range(1, 5)))
    pages, cursor = [], ""
    while True:
        asked: dict[str, Any] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = await here.statement(**asked)
        pages.append([entry["version"] for entry in page["entries"]])
        assert (page["entries_in_range"], page["sum"], page["opening"]) == (5, "4.96", "0.00")
        if page["next"] is None:
            break
        cursor = page["next"]
    assert pages == [[4, 5], [2, 3], [1]]
    only = await here.statement(kind="top-up")
    assert [entry["version"] for entry in only["entries"]] == [1]
    assert (only["entries_in_range"], only["closing"]) == (5, "4.96")


async def test_a_client_without_postings_has_an_empty_statement(here: Explained) -> None:
    await here.api.client("1002")
    found = await here.statement("1002")
    assert (found["opening"], found["closing"], found["balance"]) == ("0.00", "0.00", "0.00")
    assert (found["entries"], found["differs"], found["currency"]) == ([], "", "CAD")
    answer = await here.api.http.get("/v1/clients/nobody/statement")
    assert answer.status_code == 404


async def test_a_balance_that_differs_from_its_entries_is_reported(here: Explained) -> None:
    await here.bench.rate(call(1), call(2))
    await here.bench.sql("update rating.account set balance_micro = 5")
    found = await here.statement()
    assert found["differs"] == (
        "all entries come to -0.02, the balance is 0.000005; 0 do not follow from the one before"
    )
    await here.bench.sql("update rating.account set balance_micro = -20000")
    assert (await here.statement())["differs"] == ""
    await here.bench.sql("update rating.ledger set amount_micro = -9000 where version = 2")
    found = await here.statement()
    assert found["differs"] == "opening and entries do not come to the closing balance"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-12-01T00:00:00"}, "until"),
        ({"since": "2026-12-01T00:00:00Z", "until": "2026-12-01T00:00:00Z"}, "until"),
        ({"kind": "gift"}, "kind"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
async def test_a_malformed_question_names_its_field(
    here: Explained, asked: dict[str, str], field: str
) -> None:
    answer = await here.api.http.get("/v1/clients/1001/statement", params=asked)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


async def test_the_views_are_read_by_an_index(database: str) -> None:
    """A sequential scan is planned here only where no index can be used."""
    async with (
        await open_pool(database, service="accounts", size=1) as pool,
        pool.acquire() as connection,
    ):
        await connection.execute("set enable_seqscan = off")
        for view, condition in LOOK_UPS:
            plan = await connection.fetch(f"explain select * from report.{view} {condition}")
            text = "\n".join(row[0] for row in plan)
            assert "Seq Scan" not in text, f"{view}\n{text}"


ZERO = str(UUID(int=0))
AN_ID = f"'{ZERO}'"
LOOK_UPS = (
    ("call_or_entry", f"where id between {AN_ID} and 'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    ("ledger", f"join report.balance using (account_id) where entry_id = any('{{{ZERO}}}')"),
    ("ledger", "where account_id = 'a' and version > 5 and version <= 9"),
    ("ledger", "where account_id = 'a' and posted_at < now() order by version desc limit 1"),
    ("rerate_change", f"where call_id = {AN_ID}"),
    ("not_billed", f"where call_id = {AN_ID}"),
    ("dead_record", f"where call_id = {AN_ID}"),
    ("unrated", f"where call_id = {AN_ID}"),
    ("accepted_record", f"where record_id = {AN_ID}"),
    ("ledger_drift", "where account_id = 'a'"),
)  # fmt: skip


async def test_accounts_reads_the_views_and_nothing_behind_them(database: str) -> None:
    async with await open_pool(database, service="accounts", size=1) as pool:
        for view in ("call_or_entry", "not_billed", "dead_record", "rerate_change", "ledger_drift"):
            assert await pool.fetch(f"select * from report.{view}") == []
        for table in ("ledger", "not_billed", "dead_call", "rerate_change", "drift_i1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.fetch(f"select * from rating.{table}")
