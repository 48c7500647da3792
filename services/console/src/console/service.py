"""The console: pages for a browser, made of the API's answers, and informed of what the topics say.

    browser ──▶ pages ──▶ the API of accounts, with the operator's own token
    browser ◀── stream ◀── feed ◀── every topic, from now on
    browser ◀── pages of topics ◀── offsets, in the background; the end of a topic, when asked

It decides nothing and stores nothing: a session is the API's token in a cookie. A kill loses what
a page is showing, and the browser connects again.
"""

import asyncio
from contextlib import AsyncExitStack

from console.api.client import open_api
from console.feed.hub import Hub
from console.feed.reader import FeedReader
from console.feed.tail import TopicTail
from console.feed.topics import TopicLooks, TopicWatch
from console.settings import Settings
from console.web.app import create_app
from console.web.formats import Formats
from ringfence.clock import SystemClock
from ringfence.listening.asgi_server import AsgiServer
from ringfence.loops import run_together
from ringfence.observe.health import Health


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Serve the pages and read the topics, until `stop` is set."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(open_api(settings.console_api))
        hub = Hub()
        health.readiness.need("api", api.answers)
        formats = Formats(settings.console_locale, settings.console_zone)
        brokers, watch = settings.brokers(), TopicWatch()
        tail = TopicTail(brokers, formats)
        stack.push_async_callback(tail.close)
        app = create_app(api, hub, formats, SystemClock(), stop, watch, tail, settings.company())
        server = AsgiServer(
            app,
            host=settings.console_host,
            port=settings.console_port,
            progress=health.loop("pages"),
            name="console",
            settings="RINGFENCE_CONSOLE_HOST/PORT",
        )
        feed = FeedReader(brokers, hub, formats, health.loop("feed"))
        looks = TopicLooks(brokers, watch, health.loop("topics"))
        await run_together(stop, server.run, feed.run, looks.run)
