"""The page on which a month's calls are priced by another version, by rating's own job."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from console.pages.month_costs import period_of
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence_testing.records import account, call
from ringfence_testing.wait import until
from tests.support.accounts import TOKEN
from tests.support.console import PROOF, RunningConsole, running_console
from tests.support.explained import Explained, open_explained
from tests.support.jobs import rating_jobs

PAGE = "/rates/north/month"
DEARER = ("1", "North America", "0.03", 60, 60, 1)
BRITAIN = ("44", "United Kingdom", "0.02", 60, 60, 1)


@dataclass
class Months:
    """An operator's browser, the API, and rating with calls of November 2026."""

    console: RunningConsole
    explained: Explained
    dsn: str

    async def ask(self, version: str = "2", month: str = "2026-11") -> str:
        """Send the form; the address that follows."""
        proof = PROOF.search(await self.console.page(f"{PAGE}?version=2"))
        assert proof is not None
        answer = await self.console.http.post(
            PAGE, data={"proof": proof[1], "version": version, "month": month}
        )
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def computed(self, where: str) -> str:
        """The words of the part of a page about its job, once that has ended."""
        job = parse_qs(urlsplit(where).query)["job"][0]

        async def ended() -> str:
            text = await self.console.page(f"{PAGE}/part?job={job}")
            return "" if "data-under-way" in text else text

        return " ".join((await until(ended, timeout_s=20)).split())


@pytest.fixture
async def months(database: str) -> AsyncIterator[Months]:
    async with open_explained(database) as explained, running_console(explained.api.url) as console:
        bench = explained.bench
        await bench.save_accounts(account("1002", tenant="south.example"))
        await bench.rate(call(1), call(2, tenant="south.example"), call(3, tenant="south.example"))
        await bench.publish_tariff(DEARER, version=2)
        assert (await console.login(TOKEN)).status_code == 303
        yield Months(console, explained, database)


async def test_a_month_is_priced_again_and_nothing_is_written(months: Months) -> None:
    assert f'{PAGE}?version=2"' in await months.console.page("/rates/north")
    where = await months.ask()
    page = await months.console.page(where)
    assert "data-under-way" in page
    assert 'data-live="*"' in page
    assert 'value="2026-11"' in page
    entries = await months.explained.bench.entries()
    async with rating_jobs(months.dsn):
        text = await months.computed(where)
    assert "<dt>calls</dt><dd>3</dd>" in text
    assert "<dt>were charged</dt><dd>$0.03</dd>" in text
    assert "<dt>by version 2</dt><dd>$0.09</dd>" in text
    assert "<dt>clients would pay more</dt><dd>$0.06 <small>200.0 %</small>" in text
    assert text.index('href="/clients/1002"') < text.index('href="/clients/1001"')
    assert '<td class="number">0.04 CAD</td>' in text
    page = await months.console.page(where)
    assert "data-live" not in page.split("</header>")[-1].split("<h1>")[1]
    assert await months.explained.bench.entries() == entries


async def test_calls_that_the_version_cannot_price_are_shown_with_their_reason(
    months: Months,
) -> None:
    await months.explained.bench.publish_tariff(BRITAIN, version=3)
    async with rating_jobs(months.dsn):
        text = await months.computed(await months.ask(version="3"))
    assert "Calls that it could not price" in text
    assert "No client would have paid another amount." in text
    assert "<dt>difference</dt><dd>$0.00" in text


async def test_a_month_without_calls_and_what_is_no_month_are_said_in_words(
    months: Months,
) -> None:
    async with rating_jobs(months.dsn):
        text = await months.computed(await months.ask(month="2026-10"))
    assert "No call of the month was charged by this tariff." in text
    for month in ("", "2026-13", "9999-12", "0000-01", "2026-1", "x"):
        page = await months.console.page(await months.ask(month=month))
        assert "expected a month such as 2026-10" in page


async def test_a_job_of_another_kind_or_tariff_is_not_shown_here(months: Months) -> None:
    api = months.explained.api.http
    job = (await api.post("/v1/verifications", json={})).json()["request_id"]
    other = {"tariff": "else", "version": "1", "from": "2026-11-01", "to": "2026-12-01"}
    rerating = (await api.post("/v1/reratings", json=other)).json()["request_id"]
    for asked in (job, rerating, "00000000-0000-0000-0000-000000000000", "%2e%2e"):
        found = await months.console.http.get(f"{PAGE}/part?job={asked}")
        assert found.status_code in (404, 422), f"{asked}: {found.text}"


async def test_a_result_of_an_earlier_release_shows_the_difference_alone(months: Months) -> None:
    """Services are upgraded one by one: such a rating does not say what was charged."""
    total = {"currency": "CAD", "examined": 3, "difference_micro": -60_000}
    result = {
        "run_id": None,
        "accounts": [{**total, "account_id": "1002", "differ": 2}],
        "totals": [total],
        "unchanged": [],
    }

    async def dry_run(job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        return result

    where = await months.ask()
    async with rating_jobs(months.dsn, {"rerate.dry_run": dry_run}):
        text = await months.computed(where)
    assert "<dt>were charged</dt><dd>–</dd>" in text
    assert "<dt>by version 2</dt><dd>–</dd>" in text
    assert "<dt>clients would pay more</dt><dd>$0.06</dd>" in text
    assert '<td class="number">0.06 CAD</td>' in text


async def test_a_refusal_of_rating_is_shown(months: Months) -> None:
    where = await months.ask(version="9")
    async with rating_jobs(months.dsn):
        text = await months.computed(where)
    assert "expected a version of north: 1, 2" in text


async def test_a_form_of_another_session_computes_nothing(months: Months) -> None:
    answer = await months.console.http.post(
        PAGE, data={"proof": "x", "version": "2", "month": "2026-11"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("month", "period"),
    [
        ("2026-10", ("2026-10-01", "2026-11-01")),
        ("2026-12", ("2026-12-01", "2027-01-01")),
        ("2026-1", None),
        ("2026-00", None),
        ("٢٠٢٦-10", None),
    ],
)
def test_a_month_ends_where_the_next_one_begins(month: str, period: tuple[str, str] | None) -> None:
    assert period_of(month) == period
