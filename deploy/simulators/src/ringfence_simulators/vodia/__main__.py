"""`python -m ringfence_simulators.vodia`: serve a simulated Vodia until interrupted."""

import asyncio
import signal
from pathlib import Path

import click

from ringfence_simulators.fusionpbx.seed import read_seed
from ringfence_simulators.vodia.app import serve
from ringfence_simulators.vodia.model import SimulatedVodia
from ringfence_simulators.vodia.traffic import MAX_CALLS_PER_SECOND


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8056, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--seed",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML or JSON: accounts, trunks, extensions.",
)
@click.option("--cdr-url", default="", help="Where calls are posted to, as Vodia writes it.")
@click.option(
    "--calls-per-second",
    type=click.FloatRange(0, MAX_CALLS_PER_SECOND),
    default=0.0,
    show_default=True,
    help="Random calls by all extensions together, from the start.",
)
def main(host: str, port: int, seed: Path | None, cdr_url: str, calls_per_second: float) -> None:
    """Serve a simulated Vodia. `/_sim/state` shows what goes on inside."""
    pbx = SimulatedVodia()
    if seed is not None:
        pbx.add(read_seed(seed))
    asyncio.run(_serve(pbx, host, port, cdr_url, calls_per_second))


async def _serve(
    pbx: SimulatedVodia, host: str, port: int, cdr_url: str, calls_per_second: float
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(pbx, host=host, port=port) as served:
        served.posting.configure(cdr_url)
        click.echo(f"simulated Vodia at {served.url}")
        if calls_per_second:
            served.traffic.start(calls_per_second)
        await stop.wait()


if __name__ == "__main__":
    main()
