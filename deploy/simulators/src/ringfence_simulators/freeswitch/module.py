"""mod_json_cdr and mod_xml_cdr: post a record, try the next URL, or write it to a folder."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import aiohttp

from ringfence_simulators.freeswitch.channel import EndedChannel
from ringfence_simulators.freeswitch.document import (
    Encode,
    Form,
    json_document,
    make_body,
    xml_document,
)

CURLS_OWN_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class ModuleSettings:
    """The settings of json_cdr.conf and xml_cdr.conf, under their own names.

    `cred` is `user:password`. There are `retries` + 1 attempts, `delay` seconds apart. After a
    failed attempt the next of `urls` is used, for this record and for all later ones.
    """

    form: Form
    urls: tuple[str, ...]
    encode: Encode = "false"
    encode_values: bool = True
    cred: str = ""
    auth_scheme: Literal["basic", "digest"] = "basic"
    retries: int = 0
    delay: float = 5.0
    prefix_a_leg: bool = True
    disable_100_continue: bool = False
    err_log_dir: Path | None = None


class CdrModule:
    """One of the modules, loaded. `answers` counts attempts by HTTP status; 0: no response.

    curl opens a connection for every record; with `keep_alive` connections are reused, to reduce
    the load of the machine that runs both sides.
    """

    def __init__(self, settings: ModuleSettings, *, keep_alive: bool = False) -> None:
        self._settings = settings
        self._url_index = 0
        user, _, password = settings.cred.partition(":")
        digest = aiohttp.DigestAuthMiddleware(user, password, preemptive=False)
        basic = aiohttp.encode_basic_auth(user, password) if settings.cred else None
        by_digest = bool(settings.cred) and settings.auth_scheme == "digest"
        self._headers = {"User-Agent": f"freeswitch-{settings.form}/1.0"}
        if basic and not by_digest:
            self._headers["Authorization"] = basic
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=not keep_alive),
            middlewares=(digest,) if by_digest else (),
            auto_decompress=False,
        )
        self.answers: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def report(self, channel: EndedChannel) -> bool:
        """Post the record of a channel; if no server accepts it, write it to the folder: False."""
        settings = self._settings
        if settings.form == "json":
            text = json_document(channel, encode_values=settings.encode_values)
        else:
            text = xml_document(channel)
        content_type, body = make_body(settings.form, settings.encode, text)
        if settings.disable_100_continue:
            content_type = CURLS_OWN_TYPE
        for number in range(settings.retries + 1):
            if number:
                await asyncio.sleep(settings.delay)
            if 200 <= await self._try(channel, content_type, body) < 300:
                return True
            self._url_index = (self._url_index + 1) % len(settings.urls)
        self._back_up(channel, body)
        return False

    async def _try(self, channel: EndedChannel, content_type: str, body: str) -> int:
        url = f"{self._settings.urls[self._url_index]}?uuid={self._name(channel, 'xml')}"
        headers = {**self._headers, "Content-Type": content_type}
        try:
            async with self._http.post(url, data=body.encode(), headers=headers) as response:
                await response.read()
                status = response.status
        except aiohttp.ClientError:
            status = 0
        self.answers[status] = self.answers.get(status, 0) + 1
        return status

    def _name(self, channel: EndedChannel, marking: Form) -> str:
        """The name of the record: mod_json_cdr marks the A leg in file names, but not in posts."""
        marks = self._settings.prefix_a_leg and self._settings.form == marking
        return f"a_{channel.uuid}" if marks and not channel.originator else channel.uuid

    def _back_up(self, channel: EndedChannel, body: str) -> None:
        folder = self._settings.err_log_dir
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            form = self._settings.form
            (folder / f"{self._name(channel, form)}.cdr.{form}").write_text(body, "utf-8")


async def report_at_rate(
    module: CdrModule, channels: Iterable[EndedChannel], per_second: float
) -> list[bool]:
    """Report channels at a rate, without waiting for the results of earlier ones.

    Returns for each, in order, whether a server accepted it.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, channel in enumerate(channels):
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
            tasks.append(group.create_task(module.report(channel)))
    return [task.result() for task in tasks]
