"""`python -m ringfence_simulators.lesnet`: serve a simulated Les.net until interrupted."""

import asyncio
import signal
from pathlib import Path

import click

from ringfence_simulators.fusionpbx.seed import read_seed
from ringfence_simulators.lesnet.app import serve
from ringfence_simulators.lesnet.model import Portal
from ringfence_simulators.lesnet.site import Paths

_SECRET_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""Keys come from files, because all users of a machine see the arguments of its processes."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8057, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--seed",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML or JSON: peers, calls by path, balance.",
)
@click.option("--api-key-file", type=_SECRET_FILE, help="File with the valid apikey.")
@click.option("--id-key-file", type=_SECRET_FILE, help="File with the valid idkey.")
@click.option("--disable", default=Paths.disable, show_default=True, help="Call that disables.")
@click.option("--enable", default=Paths.enable, show_default=True, help="Call that enables.")
@click.option("--show", default=Paths.show, show_default=True, help="Call that shows a peer.")
def main(
    host: str,
    port: int,
    seed: Path | None,
    api_key_file: Path | None,
    id_key_file: Path | None,
    disable: str,
    enable: str,
    show: str,
) -> None:
    """Serve a simulated Les.net. `/_sim/state` shows what goes on inside."""
    portal = Portal(
        api_key=_content(api_key_file) or "simulated-api-key",
        id_key=_content(id_key_file) or "simulated-id-key",
    )
    if seed is not None:
        portal.add(read_seed(seed))
    portal.write_files()
    asyncio.run(_serve(portal, Paths(disable, enable, show), host, port))


def _content(file: Path | None) -> str:
    return file.read_text(encoding="utf-8").strip() if file else ""


async def _serve(portal: Portal, paths: Paths, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(portal, paths=paths, host=host, port=port) as served:
        click.echo(f"simulated Les.net at {served.url}")
        await stop.wait()


if __name__ == "__main__":
    main()
