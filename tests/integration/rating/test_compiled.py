"""The compiled copy of the hot path: the same rules, and only for the current sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence_local import compiled

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(
    compiled.current() is None, reason="nothing is compiled here: no C compiler, or edited since"
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    path = f"{compiled.current()}{os.pathsep}{ROOT / 'tests'}"
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True
    )


def test_all_listed_modules_are_compiled() -> None:
    names = [
        f"{package}.{name.removesuffix('.py').replace('/', '.')}"
        for package, modules in compiled.PACKAGES.items()
        for name in modules
    ]
    shown = run(
        "-c", f"import importlib\nfor n in {names}: print(importlib.import_module(n).__file__)"
    )
    assert shown.returncode == 0, shown.stderr
    files = shown.stdout.split()
    assert len(files) == len(names)
    assert all(file.endswith(".so") and "/compiled/" in file for file in files)


def test_the_unit_tests_of_rating_pass_with_the_compiled_modules() -> None:
    tests = sorted(map(str, (ROOT / "tests/unit/rating").glob("test_*.py")))
    ran = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)
    assert ran.returncode == 0, ran.stdout[-3000:]


def test_a_copy_of_other_sources_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for package in compiled.PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("edited = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    compiled.current.cache_clear()
    try:
        assert compiled.current() is None
    finally:
        compiled.current.cache_clear()
