"""Each image holds what its program needs, compiled, and little else."""

import json

import pytest

from tests.deploy.containers import DEBIAN, OURS, Engine, image

MOST_MB = {"notifier": 230, "tools": 230, "console": 190}
"""Mails have apprise and css-inline; pages, as mails, have the locales of babel."""

PACKAGES = {
    "cdr-ingest": ("ringfence", "cdr_ingest", "ringfence_doctor"),
    "tools": ("ringfence", "accounts", "cdr_ingest", "rating", "notifier"),
    "simulators": ("ringfence_simulators",),
}
MB = 1_000_000
LOOK = """
import importlib, json, os, pkgutil, sys
from importlib.util import cache_from_source
from pathlib import Path

failed, site = [], Path(sys.prefix, "lib/python3.11/site-packages")
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, f"{name}."):
        if found.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(found.name)
        except ImportError as error:
            failed.append(f"{found.name}: {error}")
price = importlib.import_module("rating.pricing.price")
endings = {path.suffix for path in Path(sys.prefix).rglob("*") if path.is_file()}
sources = [path for path in site.rglob("*.py") if "-" not in str(path.relative_to(site))]
print(json.dumps({
    "failed": failed, "price": price.__file__, "user": os.getuid(),
    "bare": [str(path) for path in sources if not os.path.exists(cache_from_source(path))],
    "unneeded": sorted(endings & {".pyx", ".pxd", ".po", ".c", ".h"}),
}))
"""


def packages(name: str) -> tuple[str, ...]:
    """What is imported whole in an image."""
    return PACKAGES.get(name, ("ringfence", name.replace("-", "_")))


@pytest.mark.parametrize("name", OURS)
def test_an_image_holds_what_its_program_imports(images: Engine, name: str) -> None:
    run = ("run", "--rm", "--read-only", "--network", "none", "--entrypoint", "python")
    told = images.run(*run, image(name), "-c", LOOK, *packages(name), timeout_s=600)
    found = json.loads(told.splitlines()[-1])
    assert found["failed"] == []
    assert found["price"].endswith(".so"), "the compiled modules are not used"
    assert found["user"] == 10001
    assert found["bare"] == [], "these would be compiled at each start"
    assert found["unneeded"] == []


@pytest.mark.parametrize("name", [name for name in OURS if name not in ("tools", "simulators")])
def test_the_image_of_a_service_says_how_to_ask_for_its_health(images: Engine, name: str) -> None:
    (described,) = json.loads(images.run("image", "inspect", image(name)))
    asked = described.get("Healthcheck") or described["Config"].get("Healthcheck")
    assert asked["Test"] == ["CMD", "python", "-m", "ringfence.observe.probe"]


@pytest.mark.parametrize("name", OURS)
def test_an_image_stays_small(images: Engine, name: str) -> None:
    """Beyond its base, whatever that is: the limits are a tenth above what is needed."""
    size, base = (
        int(images.run("image", "inspect", "--format", "{{.Size}}", each))
        for each in (image(name), DEBIAN)
    )
    assert size - base < MOST_MB.get(name, 160) * MB


def test_the_command_names_all_its_parts(images: Engine) -> None:
    run = ("run", "--rm", "--read-only", "--network", "none", image("tools"))
    listed = images.run(*run, "--help")
    for command in ("client", "verify", "doctor", "template", "topics", "database"):
        assert f"\n  {command} " in listed
    for command in ("template", "doctor", "verify", "database"):
        assert f"Usage: ringfence {command}" in images.run(*run, command, "--help")
