"""A wall clock that can be stepped for the services of a stack: LD_PRELOAD of `clock_shim.c`."""

import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock_shim.c")


class CannotCompile(Exception):
    """There is no C compiler; the message says so."""


class SteppedClock:
    """The shift of the clock of all processes that have `environment`."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock_shim.so"
        self._shift = folder / "clock_shift"

    def build(self) -> None:
        """Compile the library. Raises CannotCompile."""
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise CannotCompile("the clock of a process is shifted by a C library; no gcc is here")
        self._library.parent.mkdir(parents=True, exist_ok=True)
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(_SOURCE)]
        done = subprocess.run([*command, "-ldl"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotCompile(f"{compiler} failed: {done.stderr.strip()[-200:]}")
        self._shift.write_bytes(struct.pack("l", 0))

    @property
    def environment(self) -> dict[str, str]:
        """What processes need."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._shift)}

    def step_to(self, seconds: int) -> None:
        """From now on, wall clocks are so many seconds ahead."""
        with self._shift.open("r+b") as file:
            file.write(struct.pack("l", seconds))
