"""`python -m ringfence_simulators.fusionpbx`: serve a simulated FusionPBX until interrupted."""

import asyncio
import signal
from pathlib import Path
from typing import cast

import click

from ringfence_simulators.fusionpbx.access.logins import ReleaseLine
from ringfence_simulators.fusionpbx.app import serve
from ringfence_simulators.fusionpbx.journal import Journal
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.seed import apply_seed, read_seed, restore
from ringfence_simulators.fusionpbx.traffic import MAX_CALLS_PER_SECOND, TrafficPlan

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8055, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--line",
    type=click.Choice(["5.5", "5.6"]),
    default="5.5",
    show_default=True,
    help="Whose login to imitate.",
)
@click.option("--seed", type=_FILE, help="TOML or JSON: domains, users, gateways, extensions.")
@click.option("--state", type=_FILE, help="Keep calls and switched flags here across restarts.")
@click.option(
    "--calls-per-second",
    type=click.FloatRange(0, MAX_CALLS_PER_SECOND),
    default=0.0,
    show_default=True,
    help="Random calls by all extensions together, from the start.",
)
@click.option("--rows-per-page", default=50, show_default=True, help="Rows on a list page.")
def main(
    host: str,
    port: int,
    line: str,
    seed: Path | None,
    state: Path | None,
    calls_per_second: float,
    rows_per_page: int,
) -> None:
    """Serve a simulated FusionPBX. `/_sim/state` shows what goes on inside."""
    pbx = SimulatedFusionPbx()
    if seed is not None:
        apply_seed(pbx, read_seed(seed))
    # The journal is opened after the seed is applied, so that it does not contain the seed again.
    pbx.journal = Journal(state)
    restore(pbx)
    asyncio.run(_serve(pbx, host, port, cast(ReleaseLine, line), calls_per_second, rows_per_page))


async def _serve(
    pbx: SimulatedFusionPbx,
    host: str,
    port: int,
    line: ReleaseLine,
    calls_per_second: float,
    rows_per_page: int,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(pbx, line=line, host=host, port=port, rows_per_page=rows_per_page) as served:
        click.echo(f"simulated FusionPBX {line} at {served.url}")
        if calls_per_second:
            served.traffic.start(TrafficPlan(list(pbx.extensions.values()), calls_per_second))
        await stop.wait()


if __name__ == "__main__":
    main()
