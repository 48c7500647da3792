"""The pages of dead records, on a real API and database, with a consumer that answers."""

from collections.abc import AsyncIterator

import pytest

from tests.support.accounts import TOKEN, running_api
from tests.support.console import RunningConsole, running_console
from tests.support.dead_records import Watch, watching


@pytest.fixture
async def watch(database: str) -> AsyncIterator[Watch]:
    async with watching(database) as opened:
        yield opened


@pytest.fixture
async def console(database: str) -> AsyncIterator[RunningConsole]:
    async with running_api(database) as api, running_console(api.url) as opened:
        assert (await opened.login(TOKEN)).status_code == 303
        yield opened


async def only_record(console: RunningConsole) -> str:
    """The path of the page of the one dead record."""
    page = await console.page("/dead")
    start = page.index('href="/dead/') + len('href="')
    return page[start : page.index('"', start)]


async def test_a_record_is_shown_with_its_bytes_and_no_byte_is_markup(
    console: RunningConsole, watch: Watch
) -> None:
    assert "None." in await console.page("/dead")
    await watch.dies(value=b"<script>alert(1)</script>")
    listed = await console.page("/dead")
    assert "version: got -1, expected more" in listed
    assert "balance.changed.v1" in listed
    page = await console.page(await only_record(console))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "partition 3, offset 7" in page


async def test_a_record_is_handled_again_and_its_page_says_what_came_of_it(
    console: RunningConsole, watch: Watch
) -> None:
    await watch.dies()
    path = await only_record(console)
    refused = await console.submit(path, f"{path}/retry", reason="a try")
    assert '<div class="result bad" role="alert">' in refused
    assert "version: got -1, expected more" in refused
    watch.consumer.rejects = False
    done = await console.submit(path, f"{path}/retry", reason="the rule is changed")
    assert '<div class="result good" role="status">' in done
    assert len(watch.consumer.handled) == 1
    assert "<dd>retried <small>" in done
    assert "Handle it again" not in done
    assert "None." in await console.page("/dead")
    assert "the rule is changed" in await console.page("/dead?state=retried")


async def test_a_record_is_dropped_only_with_a_reason(
    console: RunningConsole, watch: Watch
) -> None:
    await watch.dies()
    path = await only_record(console)
    assert "say why the record may be dropped" in await console.submit(path, f"{path}/drop")
    dropped = await console.submit(path, f"{path}/drop", reason="a test of the carrier")
    assert "<dd>dropped <small>" in dropped
    assert "a test of the carrier" in await console.page("/dead?state=dropped")
