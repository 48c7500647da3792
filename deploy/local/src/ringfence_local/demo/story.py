"""`ringfence demo`: one client from the first call to the restored trunk, with times."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from ringfence_local.demo.sample import (
    SampleApi,
    SampleClient,
    Watchable,
    add_client,
    load_sample,
)
from ringfence_local.errors import StackError

STEP_BOUND_S = 60.0
_LOOK_EVERY_S = 0.02

CLIENT = SampleClient(
    "2001", "Nora", "Field", "Field Bakery", "bakery.voip.example", "5195550166", ("2112",), "20.00"
)


class StoryFailed(StackError):
    """A step did not happen in time."""


@dataclass
class DemoStory:
    """Prints the steps, and records how long each reaction took, in seconds."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    reactions: list[tuple[str, float]] = field(default_factory=list)

    def print_step(self, text: str) -> None:
        """Print one step, with the time since the beginning."""
        self.console.print(f"[dim]{time.monotonic() - self.began:7.2f} s[/dim]  {text}")

    async def until(self, what: str, since: float, happened: Callable[[], Awaitable[Any]]) -> Any:
        """Wait for a reaction to the event at `since`. Raises StoryFailed after a minute."""
        while time.monotonic() - since < STEP_BOUND_S:
            found = await happened()
            if found:
                took_s = time.monotonic() - since
                self.reactions.append((what, took_s))
                self.print_step(f"[green]✓[/green] {what} [bold]({took_s:.2f} s)[/bold]")
                return found
            await asyncio.sleep(_LOOK_EVERY_S)
        self.print_step(f"[red]✗[/red] {what}: not within {STEP_BOUND_S:.0f} s")
        raise StoryFailed(f"{what}: it did not happen within {STEP_BOUND_S:.0f} s")


class ClientObserver:
    """Reads the state of the client: balance, mails, trunk and service."""

    def __init__(self, stack: Watchable, api: SampleApi, client: SampleClient) -> None:
        self._stack = stack
        self._api = api
        self._client = client

    async def balance(self) -> int:
        """The balance in micro-units."""
        balance = await self._api.ask(f"/clients/{self._client.account_id}/balance")
        return int(balance["balance_micro"])

    async def mail(self, subject: str) -> bool:
        """Whether the inbox has a mail whose subject contains this text."""
        messages = await asyncio.to_thread(self._stack.inbox.messages)
        return any(subject in str(message["Subject"]) for message in messages)

    async def trunk(self) -> tuple[bool, bool]:
        """Whether the trunk is enabled on the PBX, and whether the switch runs it."""
        state = await self._api.pbx_state()
        found = next(g for g in state["gateways"] if g["uuid"] == self._client.gateway_id)
        return found["enabled"], found["live"]

    async def confirmed(self) -> str:
        """The service's state that ringfence has confirmed by reading it back from the PBX."""
        services = await self._api.ask(f"/clients/{self._client.account_id}/services")
        return str(services["items"][0]["confirmed"])

    async def can_call(self) -> bool:
        """Whether all extensions can place an outbound call now."""
        state = await self._api.pbx_state()
        telephones = [e for e in state["extensions"] if e["domain"] == self._client.tenant]
        return all(telephone["can_call"] for telephone in telephones)


async def play_story(stack: Watchable, console: Console) -> DemoStory:
    """Play the story on a running stack. Raises StoryBroke at the first step that fails."""
    story = DemoStory(console)
    async with SampleApi(stack) as api:
        observer = ClientObserver(stack, api, CLIENT)
        await load_sample(api, [])
        start = time.monotonic()
        await add_client(api, CLIENT)
        story.print_step(
            "Field Bakery is a new client: prepaid, warned at 15.00, one trunk on the PBX"
        )
        await story.until(
            "opening balance of 20.00 posted", start, _is(observer.balance, 20_000_000)
        )
        await _spend(story, observer, api)
        await _recover(story, observer, api)
    return story


async def _spend(story: DemoStory, observer: ClientObserver, api: SampleApi) -> None:
    called = await _call(api, minutes=3)
    story.print_step("a satellite call of 3 min ends at the PBX (1.50 + 20 %, a minute: 5.40)")
    await story.until("call rated, balance 14.60", called, _is(observer.balance, 14_600_000))
    await story.until("mail: Low Balance Alert", called, lambda: observer.mail("Low Balance"))
    called = await _call(api, minutes=9)
    story.print_step("another of 9 min ends (16.20): the money is gone")
    await story.until("call rated, balance -1.60", called, _is(observer.balance, -1_600_000))
    await story.until(
        "trunk disabled and dead on the PBX", called, _is(observer.trunk, (False, False))
    )
    await story.until("read back by ringfence", called, _is(observer.confirmed, "suspended"))
    await story.until("the telephone cannot call", called, _is(observer.can_call, False))
    await story.until("mail: VoIP Zero Balance", called, lambda: observer.mail("Zero Balance"))


async def _recover(story: DemoStory, observer: ClientObserver, api: SampleApi) -> None:
    paid = time.monotonic()
    await api.top_up(CLIENT.account_id, "25.00", f"story-{uuid4().hex}")
    story.print_step("the client pays in 25.00")
    await story.until("balance 23.40", paid, _is(observer.balance, 23_400_000))
    await story.until("trunk enabled and live on the PBX", paid, _is(observer.trunk, (True, True)))
    await story.until("read back by ringfence", paid, _is(observer.confirmed, "active"))
    await story.until("the telephone can call", paid, _is(observer.can_call, True))


async def _call(api: SampleApi, minutes: int) -> float:
    await api.pbx(
        "calls",
        {
            "domain_name": CLIENT.tenant,
            "extension": CLIENT.extensions[0],
            "direction": "outbound",
            "destination_number": "01188165501000",
            "billsec": minutes * 60,
        },
    )
    return time.monotonic()


def _is(read: Callable[[], Awaitable[Any]], wanted: object) -> Callable[[], Awaitable[bool]]:
    async def happened() -> bool:
        return bool(await read() == wanted)

    return happened


def reaction_table(story: DemoStory) -> Table:
    """A table of how long each reaction took."""
    table = Table(title="Reactions", title_justify="left")
    table.add_column("what happened")
    table.add_column("after its cause", justify="right")
    for what, took_s in story.reactions:
        table.add_row(what, f"{took_s:.2f} s")
    return table
