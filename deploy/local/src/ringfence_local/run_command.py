"""`ringfence run` and `ringfence demo`."""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import rmtree

import click
from rich.console import Console
from rich.live import Live

from ringfence_local.demo.monitor import StackMonitor
from ringfence_local.demo.other_sources import OtherSources, add_other_clients, other_sources
from ringfence_local.demo.sample import SampleApi, load_sample
from ringfence_local.demo.story import play_story, reaction_table
from ringfence_local.demo.view import StackView, plain
from ringfence_local.errors import StackError
from ringfence_local.processes.stopping import done_before, stop_on_signals, stopped_within
from ringfence_local.stack import Stack
from ringfence_local.state import FOLDER
from ringfence_local.up.environment_notes import environment_notes

_PLAIN_EVERY_S = 5.0
_LIVE_EVERY_S = 1.0

OPERATOR = "local"
"""Who logs in at the console of this machine."""


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where the state is kept from run to run.",
)
@click.option(
    "--calls-per-second",
    type=click.FloatRange(0, 500),
    default=2.0,
    show_default=True,
    help="Random calls on the simulated PBX; 0: none.",
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Stop by itself after so many seconds.",
)
def run(folder: Path, calls_per_second: float, seconds: float | None) -> None:
    """Run the whole product on this machine until Ctrl-C, with a live view.

    Starts Kafka, PostgreSQL, a mail sink, simulated PBXs on which calls happen (FusionPBX, Vodia,
    Les.net's files, a FreeSWITCH that posts), the six services and the console; loads sample
    clients the first time. Everything is stopped at the end; the state stays in the folder
    (`make clean` forgets it).
    """
    console = Console()
    try:
        asyncio.run(_run(folder, calls_per_second, seconds, console))
    except StackError as error:
        raise click.ClickException(str(error)) from None


async def _run(
    folder: Path, calls_per_second: float, seconds: float | None, console: Console
) -> None:
    stop = stop_on_signals()
    began = time.monotonic()
    for line in environment_notes(os.environ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print("Starting Kafka, PostgreSQL and the services…")
    others = other_sources(folder)
    settings = {"RINGFENCE_CDR_INGEST_PUSH_PORT": str(others.push)}
    stack = Stack(
        folder,
        environment=settings,
        extra_programs=others.simulators(),
        servers=others.servers(),
        console=True,
    )
    async with AsyncExitStack() as up:

        async def start() -> None:
            await up.enter_async_context(stack)
            await _load_samples(stack, others, calls_per_second, console)

        if await done_before(stop, start()):
            console.print(
                f"Up in {time.monotonic() - began:.1f} s.",
                f"log in by this link, once, within 15 minutes: {await _login_link(stack)}",
                *addresses(stack),
                sep="\n",
                soft_wrap=True,
            )
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, stop.set)
            await _show(stack, console, stop)
        console.print("Stopping…")
    console.print(f"Stopped. The state is kept in {folder}; `make clean` forgets it.")


async def _load_samples(
    stack: Stack, others: OtherSources, calls_per_second: float, console: Console
) -> None:
    """Load the sample clients, and let calls happen."""
    async with SampleApi(stack) as api:
        if await load_sample(api):
            console.print("Loaded the sample clients.")
        await add_other_clients(api)
        if calls_per_second:
            await stack.supervisor.start(others.poster(per_second=0.2))
            await api.pbx("traffic", {"calls_per_second": calls_per_second})


async def _login_link(stack: Stack) -> str:
    """A link by which the operator `local` logs in at the console; it is valid once."""
    async with SampleApi(stack) as api:
        known = {each["name"] for each in (await api.ask("/operators?limit=200"))["items"]}
        if OPERATOR not in known:
            await api.post("/operators", {"name": OPERATOR, "scopes": ["admin"]})
        link = await api.post("/login-links", {"operator": OPERATOR})
    return f"{stack.console_url}/login#{link['secret']}"


def addresses(stack: Stack) -> list[str]:
    """The URLs and folders of the stack, each with its name."""
    here = Path.cwd()
    folder = stack.folder.relative_to(here) if stack.folder.is_relative_to(here) else stack.folder
    return [
        f"console {stack.console_url}",
        f"API {stack.api_url}/v1",
        f"PBX {stack.pbx_url}",
        f"metrics http://127.0.0.1:{stack.ports['rating-health']}/metrics",
        f"inbox {folder / 'inbox'}",
        f"logs {folder / 'logs'}",
        f"ports {folder / 'stack.json'}",
    ]


async def _show(stack: Stack, console: Console, stop: asyncio.Event) -> None:
    watch = StackMonitor(stack)
    footer = [*addresses(stack), "Ctrl-C stops everything"]
    try:
        if not console.is_terminal:
            while not await stopped_within(stop, _PLAIN_EVERY_S):
                console.print(plain(await watch.read()), soft_wrap=True)
            return
        with Live(console=console, auto_refresh=False, screen=False) as live:
            while not await stopped_within(stop, _LIVE_EVERY_S):
                live.update(StackView(await watch.read(), footer), refresh=True)
    finally:
        await watch.close()


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=FOLDER / "demo",
    show_default=True,
    help="Where the story's own, fresh state is kept while it runs.",
)
def demo(folder: Path) -> None:
    """Play one client's story, from the first call to the restored trunk.

    Runs on real servers of its own, prints each step with its time and how long each reaction
    took, and exits 0 only if every step happened.
    """  # fmt: skip
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "lock").is_file():
        raise click.ClickException(
            f"--folder: {folder} holds files that are not of a stack, and the story would remove"
            " them. Name an empty folder or one that is not there."
        )
    console = Console()
    try:
        asyncio.run(_demo(folder, console))
    except StackError as error:
        console.print(f"The story broke. The logs are kept in {folder / 'logs'}.")
        raise click.ClickException(str(error)) from None
    rmtree(folder)


async def _demo(folder: Path, console: Console) -> None:
    rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    console.print("Starting Kafka, PostgreSQL, a simulated FusionPBX and the six services…")
    async with Stack(folder, wanted_ports={}) as stack:
        console.print(f"Up in {time.monotonic() - began:.1f} s.\n")
        story = await play_story(stack, console)
        console.print(reaction_table(story))
        console.print("The PBX is asked for new calls once a second: up to 1 s is that wait.")
    sys.stdout.flush()
