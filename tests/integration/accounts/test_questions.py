"""Reports, read from views of the agreed form."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.support.accounts import RunningApi, running_api

VIEWS = """
drop schema if exists report cascade;
create schema report;
create table report.balance (account_id text, balance_micro bigint, version bigint, currency text,
    updated_at timestamptz);
create table report.ledger (entry_id uuid, account_id text, version bigint, kind text,
    amount_micro bigint, balance_after_micro bigint, occurred_at timestamptz,
    posted_at timestamptz, explanation json, cause_id uuid);
create table report.call (call_id uuid, account_id text, service_id text, outcome text,
    reason text, hidden boolean, cost_micro bigint, direction text, number text, billsec int,
    started_at timestamptz, explanation json);
create table report.service_state (service_id text, account_id text, server_id text, wanted text,
    confirmed text, since timestamptz, last_error text, next_attempt_at timestamptz,
    would text, open boolean, attempts int, holds text[], live boolean,
    proven boolean not null default true, departed boolean not null default false);
create table report.level (account_id text, level text, held boolean, hold bigint);
create table report.hold (account_id text, held_since timestamptz, undone_hold bigint);
create table report.brake (on_since timestamptz);
create table report.unrated (call_id uuid, server_id text, tenant text, reason text, detail text,
    billsec int, started_at timestamptz, queued_at timestamptz);
grant usage on schema report to ringfence_accounts;
grant select on all tables in schema report to ringfence_accounts;

insert into report.balance values ('anna', 8000000, 5, 'CAD', '2026-11-01T10:00:00Z');
insert into report.ledger select gen_random_uuid(), 'anna', v, 'charge', -13200, 8000000,
    '2026-11-01T10:00:00Z', '2026-11-01T10:00:01Z', '{"prefix": "1416"}', gen_random_uuid()
    from generate_series(1, 5) v;
insert into report.ledger select gen_random_uuid(), 'bert', 9, 'charge', -1, 0, now(), now(), '{}',
    gen_random_uuid();
insert into report.call select ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'anna', 'pbx-1',
    'rated', '', n = 3, 13200, 'outbound', '14165551234', 36, '2026-11-01T10:00:00Z', '{}'
    from generate_series(1, 5) n;
insert into report.service_state values
    ('pbx-1', 'anna', 'wat5', 'suspended', 'active', now(), 'no answer', now()),
    ('pbx-2', 'bert', 'wat5', 'active', 'active', now(), null, null);
insert into report.unrated select ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'wat5',
    'mcon', 'no tariff', '', 36, now(), '2026-11-01T10:00:00Z' from generate_series(1, 3) n;
"""


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.database.execute(VIEWS)
        await opened.client()
        yield opened


async def everything(api: RunningApi, path: str) -> list[dict[str, object]]:
    """All rows of a report, read in pages of two."""
    found: list[dict[str, object]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        answer = await api.http.get(f"/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next"]
    return found


async def test_a_balance_is_shown_in_micro_units_and_decimal(api: RunningApi) -> None:
    answer = (await api.http.get("/v1/clients/anna/balance")).json()
    assert (answer["balance_micro"], answer["balance"], answer["version"]) == (8_000_000, "8.00", 5)


async def test_a_client_without_postings_has_0_and_an_unknown_one_is_404(
    api: RunningApi,
) -> None:
    await api.client("carl")
    answer = (await api.http.get("/v1/clients/carl/balance")).json()
    assert (answer["balance"], answer["currency"], answer["version"]) == ("0.00", "CAD", 0)
    for question in ("balance", "ledger", "calls", "services"):
        assert (await api.http.get(f"/v1/clients/nobody/{question}")).status_code == 404


async def test_a_ledger_is_paged_newest_first_and_is_the_clients_own(api: RunningApi) -> None:
    rows = await everything(api, "clients/anna/ledger")
    assert [row["version"] for row in rows] == [5, 4, 3, 2, 1]
    assert rows[0]["amount"] == "-0.0132"
    assert rows[0]["explanation"] == {"prefix": "1416"}


async def test_calls_with_the_same_start_are_shown_once_and_hidden_ones_never(
    api: RunningApi,
) -> None:
    rows = await everything(api, "clients/anna/calls")
    assert [UUID(str(row["call_id"])).int for row in rows] == [5, 4, 2, 1]


async def test_services_of_one_client_and_of_all(api: RunningApi) -> None:
    mine = await everything(api, "clients/anna/services")
    assert [(row["service_id"], row["last_error"]) for row in mine] == [("pbx-1", "no answer")]
    assert [row["service_id"] for row in await everything(api, "services")] == ["pbx-1", "pbx-2"]


async def test_the_unrated_queue_is_shown_oldest_first(api: RunningApi) -> None:
    rows = await everything(api, "unrated")
    assert [UUID(str(row["call_id"])).int for row in rows] == [1, 2, 3]


@pytest.mark.parametrize(
    "cursor", ["x", "W10=", "WyIxOyBkcm9wIl0=", "WyI5OTk5OTk5OTk5OTk5OTk5OTk5OTkiXQ=="]
)
async def test_a_forged_cursor_is_refused(api: RunningApi, cursor: str) -> None:
    answer = await api.http.get("/v1/clients/anna/ledger", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "cursor"
