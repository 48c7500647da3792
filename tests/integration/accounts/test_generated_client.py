"""A client that a library generates from the OpenAPI document works, with no route left out."""

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import FUSIONPBX, TOKEN, RunningApi, running_api

GENERATOR = Path(sys.executable).with_name("openapi-python-client")
# A rate deck is text; the generator knows JSON and bytes.
CONFIG = "content_type_overrides: {text/csv: application/octet-stream}\npost_hooks: []\n"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


class Generated:
    """The generated package `ringfence_api`, and a client of it with our token."""

    def __init__(self, url: str) -> None:
        self.models = importlib.import_module("ringfence_api.models")
        package = importlib.import_module("ringfence_api")
        self.client = package.AuthenticatedClient(base_url=url, token=TOKEN)

    async def call(self, route: str, *arguments: Any, **given: Any) -> Any:
        """The answer of `subject.operation`, as the generated function returns it: typed."""
        module = importlib.import_module(f"ringfence_api.api.{route}")
        return await asyncio.to_thread(module.sync, *arguments, client=self.client, **given)


def generate(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the generator in a folder that has the document and the configuration."""
    return subprocess.run(
        [GENERATOR, "generate", "--path", "openapi.json", "--config", "config.yaml",
         "--meta", "none", "--output-path", "ringfence_api"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def modules(folder: Path) -> list[Path]:
    """The generated modules, one for each operation."""
    paths = folder.glob("ringfence_api/api/*/*.py")
    return [path for path in paths if path.name != "__init__.py"]


@pytest.fixture
async def generated(
    api: RunningApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Generated]:
    described = (await api.http.get("/v1/openapi.json")).json()
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = await asyncio.to_thread(generate, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout, "each route is generated"
    operations = [op for item in described["paths"].values() for op in item.values()]
    assert len(modules(tmp_path)) == len(operations) > 90
    monkeypatch.syspath_prepend(tmp_path)
    made = Generated(api.url)
    yield made
    made.client.get_httpx_client().close()
    for name in [name for name in sys.modules if name.split(".")[0] == "ringfence_api"]:
        del sys.modules[name]


async def test_a_generated_client_enters_and_reads_a_client(
    api: RunningApi, generated: Generated
) -> None:
    models = generated.models
    created = await generated.call(
        "clients.put_client", "anna", body=models.ClientBody.from_dict(
            {"email": "anna@example.com", "first_name": "Anna", "currency": "CAD"}
        ),
    )  # fmt: skip
    assert created.account_id == "anna"
    await api.import_card()
    await generated.call(
        "packages.put_package", "retail", body=models.PackageBody.from_dict({"tariff_id": "retail"})
    )
    await generated.call(
        "products.put_product", "anna", "p1",
        body=models.FusionPbxBody.from_dict({**FUSIONPBX, "package": "retail"}),
    )  # fmt: skip
    paid = await generated.call(
        "payments.post_payment", "anna", idempotency_key="one",
        body=models.PaymentBody.from_dict({"amount": "25.00", "currency": "CAD"}),
    )  # fmt: skip
    assert paid.amount_micro == 25_000_000
    listed = await generated.call("clients.list_clients", search="anna")
    assert [row.account_id for row in listed.items] == ["anna"]


async def test_an_error_is_typed(api: RunningApi, generated: Generated) -> None:
    refused = await generated.call("clients.get_client", "nobody")
    assert isinstance(refused, generated.models.ErrorAnswer)
    assert "nobody" in refused.errors[0].message
