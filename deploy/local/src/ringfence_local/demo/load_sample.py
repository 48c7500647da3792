"""`python -m ringfence_local.demo.load_sample`: create the sample clients through the API.

It is for containers: it waits for the API and the PBX. Existing clients are not changed.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from ringfence_local.demo.sample import CLIENTS, SampleApi, add_client, load_sample
from ringfence_local.errors import StackError

_BOUND_S = 300.0


@dataclass(frozen=True)
class Addresses:
    """The addresses of the API and the simulated PBX."""

    api_url: str
    api_token: str
    pbx_url: str


@click.command()
@click.option("--api", "api_url", required=True, help="base URL of the API")
@click.option("--tokens", type=click.Path(path_type=Path), required=True, help="its tokens file")
@click.option("--pbx", "pbx_url", required=True, help="base URL of the simulated FusionPBX")
def main(api_url: str, tokens: Path, pbx_url: str) -> None:
    """Enter tariff, package and clients; wait for both servers."""
    entered = asyncio.run(_load(api_url, tokens, pbx_url))
    click.echo(f"{entered} sample clients entered, {len(CLIENTS) - entered} were there")


async def _load(api_url: str, tokens: Path, pbx_url: str) -> int:
    deadline = time.monotonic() + _BOUND_S
    while True:
        try:
            token = await asyncio.to_thread(_token, tokens)
            async with SampleApi(Addresses(api_url, token, pbx_url)) as api:
                return await _enter(api)
        except (OSError, httpx.TransportError, StackError) as error:
            if time.monotonic() > deadline:
                raise click.ClickException(
                    f"not entered within {_BOUND_S:.0f} s: {error}"
                ) from None
        await asyncio.sleep(1)


async def _enter(api: SampleApi) -> int:
    """Create what is missing; returns the number of created clients."""
    await load_sample(api, [])
    present = {client["account_id"] for client in (await api.ask("/clients"))["items"]}
    missing = [client for client in CLIENTS if client.account_id not in present]
    for client in missing:
        await add_client(api, client)
    return len(missing)


def _token(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip().partition(":")[2]


if __name__ == "__main__":
    main()
