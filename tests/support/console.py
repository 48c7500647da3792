"""The console served on a real API, and a browser's view of it without a browser."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from console.api.client import open_api
from console.feed.hub import Hub
from console.feed.tail import TopicTail
from console.feed.topics import TopicWatch
from console.web.app import create_app
from console.web.formats import Formats
from console.web.page import Company
from ringfence.clock import SystemClock
from ringfence.kafka.brokers import Bootstrap
from ringfence.listening.asgi_server import AsgiServer
from ringfence.observe.health import Health
from ringfence_local.demo.sample import SampleClient
from ringfence_testing.wait import until

PAY_LINK = "https://billing.example.net/pay"
PROOF = re.compile(r'name="proof" value="([0-9a-f]+)"')
KEY = re.compile(r'name="key" value="([0-9a-f-]+)"')


@dataclass
class RunningConsole:
    """The pages at `url`, the cookies of one browser, and what the background gives the pages.

    `hub` is what its stream listens to, `watch` what is known of the topics.
    """

    http: httpx.AsyncClient
    url: str
    hub: Hub
    watch: TopicWatch
    stop: asyncio.Event

    async def login(self, token: str) -> httpx.Response:
        """Send the form of the login."""
        return await self.http.post("/login", data={"token": token, "to": "/"})

    async def page(self, path: str) -> str:
        """A page that is there."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.text

    async def submit(self, page: str, path: str, **fields: str | list[str]) -> str:
        """Fill in a form of a page and send it; returns the page that follows."""
        text = await self.page(page)
        proof, key = PROOF.search(text), KEY.search(text)
        assert proof is not None, "the page has a form"
        given: dict[str, str | list[str]] = {
            "proof": proof[1],
            "key": key[1] if key else "",
            **fields,
        }
        answer = await self.http.post(path, data=given)
        assert answer.status_code == 303, answer.text[:500]
        return await self.page(answer.headers["location"])


@asynccontextmanager
async def running_console(
    api_url: str, bootstrap: Bootstrap = "127.0.0.1:1"
) -> AsyncIterator[RunningConsole]:
    """Serve the pages on a free port, for the API at `api_url` and the brokers at `bootstrap`."""
    stop, hub, watch = asyncio.Event(), Hub(), TopicWatch()
    async with open_api(api_url) as api:
        formats, company = Formats("en_CA", "America/Toronto"), Company("Maple & Voice", PAY_LINK)
        tail = TopicTail(bootstrap, formats)
        app = create_app(api, hub, formats, SystemClock(), stop, watch, tail, company)
        server = AsgiServer(
            app, host="127.0.0.1", port=0, progress=Health().loop("pages"), name="console"
        )
        serving = asyncio.create_task(server.run(stop))
        await until(lambda: bool(server.url) or serving.done(), timeout_s=10)
        try:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                yield RunningConsole(http, server.url, hub, watch, stop)
        finally:
            stop.set()
            await serving
            await tail.close()


async def console_shows(url: str, token: str, client: SampleClient) -> None:
    """Log in with a token of the API, and find a client with its balance and the newest events."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as browser:
        outside = await browser.get("/clients")
        assert (outside.status_code, outside.headers["location"]) == (303, "/login?next=/clients")
        entered = await browser.post("/login", data={"token": token, "to": "/clients"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/clients")
        listed = await browser.get("/clients")
        assert listed.status_code == 200
        assert client.account_id in listed.text
        shown = await browser.get(f"/clients/{client.account_id}")
        assert shown.status_code == 200
        assert client.tenant in shown.text
