"""`python -m ringfence_simulators.freeswitch URL`: end so many calls, and post each."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import click

from ringfence_simulators.freeswitch.channel import EndedChannel, new_channel
from ringfence_simulators.freeswitch.document import Encode, Form
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings, report_at_rate
from ringfence_simulators.traffic import DESTINATIONS


@click.command()
@click.argument("urls", nargs=-1, required=True)
@click.option("--form", type=click.Choice(get_args(Form)), default="json", show_default=True)
@click.option("--encode", type=click.Choice(get_args(Encode)), default="false", show_default=True)
@click.option("--encode-values/--raw-values", default=True, show_default=True)
@click.option(
    "--cred-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with user:password; arguments can be seen by all users.",
)
@click.option("--digest", is_flag=True, help="Digest instead of Basic.")
@click.option("--retries", type=click.IntRange(0, 20), default=0, show_default=True)
@click.option("--delay", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds.")
@click.option("--err-log-dir", type=click.Path(file_okay=False, path_type=Path))
@click.option("--per-second", type=click.FloatRange(0.1, 5000), default=10.0, show_default=True)
@click.option("--count", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--domain", default="north.example", show_default=True)
@click.option("--extension", default="2112", show_default=True)
def main(per_second: float, count: int, domain: str, extension: str, **given: object) -> None:
    """End COUNT outbound calls of a tenant and post each record to the first of URLS that works."""
    settings = ModuleSettings(
        form=cast(Form, given["form"]),
        urls=cast(tuple[str, ...], given["urls"]),
        encode=cast(Encode, given["encode"]),
        encode_values=bool(given["encode_values"]),
        cred=_first_line(cast(Path | None, given["cred_file"])),
        auth_scheme="digest" if given["digest"] else "basic",
        retries=cast(int, given["retries"]),
        delay=cast(float, given["delay"]),
        err_log_dir=cast(Path | None, given["err_log_dir"]),
    )
    asyncio.run(_post(settings, calls(count, domain, extension), per_second))


def _first_line(file: Path | None) -> str:
    return file.read_text(encoding="utf-8").strip() if file else ""


def calls(count: int, domain: str, extension: str) -> Iterator[EndedChannel]:
    """Yield `count` outbound calls, each of which ends when it is yielded."""
    for _ in range(count):
        destination = random.choice(DESTINATIONS)
        yield new_channel(
            {
                "domain_name": domain,
                "direction": "outbound",
                "extension": extension,
                "caller_id_number": extension,
                "caller_destination": destination,
                "destination_number": destination,
                "billsec": random.randint(5, 300),
            }
        )


async def _post(settings: ModuleSettings, ended: Iterator[EndedChannel], per_second: float) -> None:
    async with CdrModule(settings) as module:
        taken = await report_at_rate(module, ended, per_second)
        answers = ", ".join(f"{status}: {n}" for status, n in sorted(module.answers.items()))
    click.echo(f"{taken.count(True)} of {len(taken)} taken; answers {answers}")


if __name__ == "__main__":
    main()
