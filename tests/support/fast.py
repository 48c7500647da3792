"""Runs the tests that need no server, split over the cores: `make test-fast`.

Each process runs whole modules. Workers of pytest-xdist would each collect all modules, which takes
as long as half of the tests.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from tests.support.sources import ROOT

_MOST = 8
"""More processes than this spend more time with their start than with tests."""

_NO_TESTS = 5  # pytest's exit status when nothing is selected
_COMMAND = [
    sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--no-servers", "--no-header",
    "--hypothesis-profile=fast", "-m", "not whole_tree and not processes",
]  # fmt: skip


def modules() -> list[Path]:
    """Every module of unit and contract tests."""
    return sorted(
        path for level in ("unit", "contract") for path in ROOT.glob(f"tests/{level}/**/test_*.py")
    )


def split(paths: list[Path], parts: int) -> list[list[Path]]:
    """The paths in `parts` groups of about the same size in bytes, without empty groups."""
    groups: list[list[Path]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for path in sorted(paths, key=lambda path: path.stat().st_size, reverse=True):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(path)
        sizes[smallest] += path.stat().st_size
    return [group for group in groups if group]


def main(arguments: list[str]) -> int:
    """Run the tests, print each process's output when it ends; 0 if no test failed."""
    started = time.monotonic()
    groups = split(modules(), min(os.cpu_count() or 1, _MOST))
    with tempfile.TemporaryDirectory() as folder:
        running = [
            _start(group, arguments, Path(folder, str(number)))
            for number, group in enumerate(groups)
        ]
        statuses = []
        for process, output in running:
            statuses.append(process.wait())
            output.seek(0)
            print(output.read(), end="", flush=True)
            output.close()
    took_s = time.monotonic() - started
    if set(statuses) == {_NO_TESTS}:
        print("no test was selected", file=sys.stderr)
        return _NO_TESTS
    failed = [status for status in statuses if status not in (0, _NO_TESTS)]
    print(f"{'failed' if failed else 'passed'} in {took_s:.0f} s, {len(groups)} processes")
    return failed[0] if failed else 0


def _start(
    group: list[Path], arguments: list[str], output: Path
) -> tuple[subprocess.Popen[str], IO[str]]:
    """Start pytest with some modules; it is ended by Ctrl-C as this process is."""
    file = output.open("w+")
    names = [str(path.relative_to(ROOT)) for path in group]
    command = [*_COMMAND, *names, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, text=True), file


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # the processes got it, too
        sys.exit(130)
