"""An embedded server that is killed runs again by itself; a start can be ended by Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ringfence_local.embedded.ports import free_port
from ringfence_local.stack import Stack
from ringfence_testing.wait import until

CLIENT = {
    "first_name": "Ada", "email": "ada@maple.voip.example", "currency": "CAD",
    "time_zone": "America/Toronto", "has_voip_service": "yes", "opening_balance": "1.00",
}  # fmt: skip


async def test_killed_servers_run_again_and_money_flows(tmp_path: Path) -> None:
    async with Stack(tmp_path, services=("accounts", "rating"), wanted_ports={}) as stack:
        assert stack.kafka
        assert stack.postgres
        headers = {"Authorization": f"Bearer {stack.api_token}"}
        async with httpx.AsyncClient(
            base_url=f"{stack.api_url}/v1", headers=headers, trust_env=False, timeout=40
        ) as api:
            (await api.put("/clients/1001", json=CLIENT)).raise_for_status()
            await until(lambda: _balance(api, "1.00"), timeout_s=60)
            ports = stack.kafka.port, stack.postgres.port
            pids = stack.kafka.pid, stack.postgres.pid
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await until(
                lambda: all(keeper.restart_count for keeper in stack.keepers), timeout_s=180
            )
            assert (stack.kafka.port, stack.postgres.port) == ports
            assert not {stack.kafka.pid, stack.postgres.pid} & set(pids)
            payment = {"amount": "2.50", "kind": "top-up"}
            await until(lambda: _posted(api, payment), timeout_s=120)
            await until(lambda: _balance(api, "3.50"), timeout_s=120)
        notes = "\n".join(stack.notes)
        assert "Kafka has ended; starting it again" in notes
        assert "PostgreSQL runs again" in notes


async def _balance(api: httpx.AsyncClient, expected: str) -> bool:
    try:
        answer = await api.get("/clients/1001/balance")
    except httpx.TransportError:
        return False
    found: dict[str, Any] = answer.json() if answer.is_success else {}
    return found.get("balance") == expected


async def _posted(api: httpx.AsyncClient, payment: dict[str, str]) -> bool:
    try:
        answer = await api.post(
            "/clients/1001/payments", json=payment, headers={"Idempotency-Key": "after-the-kill"}
        )
    except httpx.TransportError:
        return False
    return answer.is_success


@pytest.mark.parametrize("command", ["run", "up"])
def test_ctrl_c_during_the_start_ends_everything(tmp_path: Path, command: str) -> None:
    arguments = ["run", "--folder", "state"]
    if command == "up":
        (tmp_path / "servers.toml").write_text(
            '[servers.pbx1]\nkind = "fusionpbx"\nurl = "http://127.0.0.1:1"\n'
            'api_key = { env = "PBX1_KEY" }\nall_tenants = true\n'
        )
        arguments = ["up", "--folder", "state", "--port", str(free_port())]
    process = subprocess.Popen(
        [Path(sys.executable).with_name("ringfence"), *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "PBX1_KEY": "k"},
    )  # fmt: skip
    deadline = time.monotonic() + 90
    parent = psutil.Process(process.pid)
    while not any("kafka.Kafka" in " ".join(_command(child)) for child in parent.children()):
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
    children = parent.children(recursive=True)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    output, _ = process.communicate(timeout=60)
    # Much shorter than a start: Kafka alone takes longer to answer and then to stop.
    assert time.monotonic() - began < 30
    assert "Up in" not in output
    assert output.rstrip().splitlines()[-1].startswith("Stopped.")
    assert process.returncode == 0
    assert not [child for child in children if child.is_running()]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
