"""What a browser waits for with very many clients: first views, and events on the screen."""

import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from figures import Figures
from load import recent_call
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from town import BenchClient, Town

from ringfence_contracts.records import Outgoing
from ringfence_testing.wait import until
from tests.support.browser import chromium

_CHUNK = 2_000
_DAYS = 7
_TIMES = 9
_EVENTS = 30
_VIEWS = (
    ("Now", "/", "table tbody tr"),
    ("list of clients", "/clients", "table tbody tr"),
    ("one client", "/clients/p-7", "h1"),
)
"""Each page, its path, and what is on it once it shows what it is for."""


@dataclass(frozen=True)
class PagesPlan:
    """How many clients, and how many calls each of them made in the last seven days."""

    clients: int
    calls_each: int


async def pages(town: Town, figures: Figures, plan: PagesPlan) -> None:
    """Chromium on the whole product: cold and warm first views, and events on the screen."""
    clients = [
        BenchClient(number, "p", opening="5000.00", hang_up="never")
        for number in range(plan.clients)
    ]
    await town.settle(clients)
    await _have_called(town, clients, plan.calls_each)
    conditions = f"{plan.clients:,} clients, {plan.clients * plan.calls_each:,} calls of 7 days"
    await _answers(town, figures, conditions)
    async with _browser() as browser:
        for name, path, shown in _VIEWS:
            town.console.print(f"Looking at {path}…")
            cold = [await _cold_view(browser, town, path, shown) for _ in range(_TIMES)]
            _add(figures, f"{name}, first view", cold, conditions)
        await _events(browser, town, figures, clients, conditions)


async def _have_called(town: Town, clients: Sequence[BenchClient], each: int) -> None:
    """Calls of the last days are in the ledger, so that there is a pace of each client."""
    town.console.print(f"Rating {len(clients) * each:,} calls…")
    before = await _entries(town)
    events = list(_calls(clients, each))
    for start in range(0, len(events), _CHUNK):
        await town.bed.publisher.publish(events[start : start + _CHUNK])

    async def all_rated() -> bool:
        return await _entries(town) >= before + len(events)

    await until(all_rated, timeout_s=600, every_s=0.5, what="all calls are rated")


def _calls(clients: Sequence[BenchClient], each: int) -> Iterator[Outgoing]:
    chance, now = random.Random(7), datetime.now(UTC)
    for client in clients:
        for _ in range(each):
            age = timedelta(seconds=chance.randrange(600, _DAYS * 86_400))
            yield recent_call(client.account_id, now - age, chance.randrange(1, 300))


async def _entries(town: Town) -> int:
    counted = await town.bed.database.fetchval("select count(*) from rating.ledger")
    return int(counted)


async def _answers(town: Town, figures: Figures, conditions: str) -> None:
    """What the console's server takes for a page, without a browser."""
    async with _session(town) as http:
        for name, path, _ in _VIEWS:
            took = []
            for _ in range(_TIMES):
                began = time.perf_counter()
                answer = await http.get(path)
                took.append(time.perf_counter() - began)
                answer.raise_for_status()
            _add(figures, f"{name}, answered", took, conditions)


@asynccontextmanager
async def _session(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is logged in."""
    stack = town.bed.stack
    async with httpx.AsyncClient(base_url=stack.console_url, timeout=60, trust_env=False) as http:
        await http.post("/login", data={"token": stack.api_token, "to": "/"})
        yield http


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def _logged_in(browser: Browser, town: Town) -> BrowserContext:
    """A browser with nothing in its cache, and a session."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    async with _session(town) as http:
        cookies = [
            {"name": each.name, "value": each.value or "", "url": town.bed.stack.console_url}
            for each in http.cookies.jar
        ]
    await context.add_cookies(cookies)  # type: ignore[arg-type]
    await page.close()
    return context


async def _cold_view(browser: Browser, town: Town, path: str, shown: str) -> float:
    """Seconds from the request until the browser shows what the page is for."""
    context = await _logged_in(browser, town)
    try:
        page = await context.new_page()
        began = time.perf_counter()
        await page.goto(f"{town.bed.stack.console_url}{path}", wait_until="commit")
        await page.wait_for_selector(shown)
        return time.perf_counter() - began
    finally:
        await context.close()


async def _events(
    browser: Browser,
    town: Town,
    figures: Figures,
    clients: Sequence[BenchClient],
    conditions: str,
) -> None:
    """From a payment that the API accepts until it is on the screen of Now."""
    town.console.print(f"Watching {_EVENTS} payments on the screen…")
    context = await _logged_in(browser, town)
    try:
        page = await context.new_page()
        await page.goto(f"{town.bed.stack.console_url}/")
        await page.wait_for_function("document.getElementById('live').textContent === 'Live.'")
        took = [await _seen(page, town, clients[n * 7], n) for n in range(_EVENTS)]
    finally:
        await context.close()
    _add(figures, "payment on the screen", took, conditions)


def _add(figures: Figures, name: str, took: Sequence[float], conditions: str) -> None:
    figures.add(f"pages: {name}, median", statistics.median(took), "s", conditions)
    figures.add(f"pages: {name}, slowest", max(took), "s", conditions)


async def _seen(page: Page, town: Town, client: BenchClient, number: int) -> float:
    amount = f"{number + 1}.{number + 11}"
    began = time.perf_counter()
    await town.top_up(client, amount, f"pages-{number}")
    await page.wait_for_selector(f"#feed li:has-text('{amount}'):has-text('{client.account_id}')")
    return time.perf_counter() - began
