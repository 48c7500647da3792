"""`python -m ringfence_local.demo.demo_pbx`: a simulated FusionPBX with its API key from a file.

It is for containers: it waits for the file, which another job writes.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import click

from ringfence_local.demo.scene import initial_pbx_seed

_KEY_BOUND_S = 300.0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--port", default=8090, show_default=True, help="TCP port")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="file of the API key")
@click.option("--state", type=click.Path(path_type=Path), help="keep tenants, flags, calls here")
def main(host: str, port: int, key: Path, state: Path | None) -> None:
    """Serve until stopped."""
    deadline = time.monotonic() + _KEY_BOUND_S
    while not key.is_file():
        if time.monotonic() > deadline:
            raise click.ClickException(f"{key} did not appear within {_KEY_BOUND_S:.0f} s")
        time.sleep(0.5)
    seed = Path(tempfile.mkdtemp()) / "pbx.json"
    seed.touch(mode=0o600)
    seed.write_text(json.dumps(initial_pbx_seed(key.read_text(encoding="utf-8").strip())))
    command = [sys.executable, "-m", "ringfence_simulators.fusionpbx", "--seed", str(seed)]
    command += [] if state is None else ["--state", str(state)]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port)])  # noqa: S606


if __name__ == "__main__":
    main()
