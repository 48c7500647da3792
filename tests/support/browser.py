"""A real browser for tests: Chromium, without a window."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, async_playwright

PICTURES = Path(__file__).parents[2] / "docs" / "console"
WIDTHS = (1280, 390)
_SERIOUS = ("serious", "critical")


def chromium() -> str | None:
    """The browser's program; None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def browser_page(
    width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[Page]:
    """An empty page. At the end, what the browser complained about fails the test."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page(
            viewport={"width": width, "height": 900 if width > 500 else 844}, color_scheme=scheme
        )
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: _note(complaints, said))
        try:
            yield page
        finally:
            await browser.close()
    assert complaints == []


def _note(complaints: list[str], said: Any) -> None:
    """An answer that is an error is a test's own matter; a script that may not run is not."""
    if said.type == "error" and "Failed to load resource" not in said.text:
        complaints.append(said.text)


async def serious_faults(page: Page) -> list[str]:
    """What keeps people from using the page, by axe: each rule, and the first place of it."""
    found = await Axe().run(page)
    return [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:150]}"
        for each in found.response["violations"]
        if each["impact"] in _SERIOUS
    ]


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    found: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


async def take_picture(page: Page, name: str) -> None:
    """With PICTURES=write, save the page as docs/console/<name>.png."""
    if os.environ.get("PICTURES") == "write":
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
