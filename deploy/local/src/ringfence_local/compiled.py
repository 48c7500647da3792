"""A compiled copy of the packages that process every call: `python -m ringfence_local.compiled`.

The copy contains the same files, and in addition the extension modules that mypyc builds from those
that work in memory for each call (docs/adr/0020). Services that are started with its folder first
on PYTHONPATH use it and are a quarter faster. It is used only while it matches the sources: after
an edit the sources are run until `make compiled` builds the copy again. Without a C compiler there
is no copy.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = {
    "ringfence_contracts": ("ids.py", "records.py"),
    "ringfence": (
        "kafka/partition_batches.py", "kafka/fast_decoder.py", "numbers/facts.py",
        "numbers/written.py",
    ),
    "rating": (
        "ledger.py", "posting/batch.py", "posting/events.py", "posting/explanation.py",
        "posting/records.py", "posting/reference_data.py",
        "posting/settlement.py", "pricing/billing_period.py", "pricing/call_filter.py",
        "pricing/call_time.py", "pricing/free_bundles.py", "pricing/number.py",
        "pricing/package_terms.py",
        "pricing/price.py", "pricing/product_match.py", "pricing/rate_call.py",
        "pricing/tariff.py", "pricing/time_bands.py",
    ),
}  # fmt: skip
"""Which packages are copied, and which of their modules are compiled."""

FOLDER = Path(sys.prefix) / "compiled"
_DIGEST = "SOURCES.sha256"
_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

checks = ["--ignore-missing-imports", "--follow-imports=silent"]
setup(ext_modules=mypycify([*checks, *sys.argv[2:]], opt_level="3", debug_level="0"),
      script_args=["build_ext", "--inplace"])
"""


class CompilationFailed(Exception):
    """There is no C compiler, or it failed; the message says what to do."""


@cache
def current() -> Path | None:
    """The folder of the compiled copy; None if there is none that matches the sources."""
    try:
        made_of = (FOLDER / _DIGEST).read_text(encoding="ascii")
    except OSError:
        return None
    return FOLDER if made_of == _digest() else None


def build() -> None:
    """Compile the sources and replace the previous copy; takes some 20 s.

    Raises CompilationFailed.
    """
    compiler = _compiler()
    digest = _digest()  # before the copy: an edit during the compilation makes the copy an old one
    with tempfile.TemporaryDirectory(dir=sys.prefix, prefix="compiling-") as name:
        folder = Path(name) / "compiled"
        for package, source in _sources():
            shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        wanted = [f"{package}/{name}" for package, names in PACKAGES.items() for name in names]
        command = [sys.executable, "-c", _SETUP, "-", *wanted]
        done = subprocess.run(  # noqa: S603 - our own command
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise CompilationFailed(f"{compiler} failed:\n{last}")
        shutil.rmtree(folder / "build")
        shutil.rmtree(folder / ".mypy_cache", ignore_errors=True)
        (folder / _DIGEST).write_text(digest, encoding="ascii")
        shutil.rmtree(FOLDER, ignore_errors=True)
        folder.rename(FOLDER)


def _compiler() -> str:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if shutil.which(compiler) is None:
        raise CompilationFailed(f"there is no C compiler ({compiler})")
    if not header.is_file():
        raise CompilationFailed(f"Python's headers are missing ({header})")
    return compiler


def _sources() -> Iterator[tuple[str, Path]]:
    """The packages with their source folders; the compiled copy is excluded."""
    for package in PACKAGES:
        for entry in sys.path:
            found = Path(entry, package)
            if (found / "__init__.py").is_file() and FOLDER not in found.parents:
                yield package, found
                break


def _digest() -> str:
    digest = hashlib.sha256(f"{sys.version} {PACKAGES}".encode())
    for package, source in _sources():
        for file in sorted(source.rglob("*.py")):
            digest.update(f"\n{package}/{file.relative_to(source)}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Build the copy unless it is current. With `--must`, a failure is exit status 1."""
    if current():
        return
    try:
        _compiler()
        print("Compiling what works at volume; some 20 s…", flush=True)  # noqa: T201
        build()
    except CompilationFailed as why:
        print(f"Not compiled: {why}. All works all the same; rating is a fifth slower.")  # noqa: T201
        if "--must" in sys.argv[1:]:
            sys.exit(1)


if __name__ == "__main__":
    main()
