"""Start a command that ends when its parent ends.

`python parent_death_signal.py PARENT_PID SIGNAL [--as USER] -- COMMAND…`

A child outlives a parent that is killed with SIGKILL, and a broker left running would hold its
folder and its port against the next start. Linux can send a process a signal when its parent's
thread ends; that has to be asked for between fork and exec, and in Python only a program of its
own does so safely while other threads run. This is that program: it asks, and becomes the
command (same process id). Elsewhere than on Linux it only becomes the command, and what was left
running is found and ended by the next start.

With `--as`, it gives up being root first: PostgreSQL refuses to run as root. It keeps the one
right to pass folders that are closed to others (a clone below /root, a temporary folder), so that
nobody's folder has to be opened for it.

It runs before everything else and by its path, so it imports the standard library only.
"""

import ctypes
import os
import pwd
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _die_with(parent: int, number: int) -> None:
    """Be sent signal `number` when the parent ends; end now if it did already."""
    if sys.platform != "linux":
        return
    if _libc().prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)


def _drop_root_for(user: str) -> None:
    """Give up root for `user`, keeping only the right to pass closed folders, where it is had."""
    entry = pwd.getpwnam(user)
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        _keep_dac_override()
    os.environ["HOME"] = "/"


def _keep_dac_override() -> None:
    """Carry CAP_DAC_OVERRIDE over exec. A container may not grant it: then doors stay closed."""
    libc = _libc()
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable of capabilities 0 to 31, then of 32 to 63
    wanted = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, wanted) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: list[str]) -> None:
    """Become the command; arguments as in the module's text."""
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    parent = int(options[0])
    if "--as" in options:
        _drop_root_for(options[options.index("--as") + 1])
    # Giving up root forgets the wish, so it comes after.
    _die_with(parent, signal.Signals[options[1]])
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is this program's purpose


if __name__ == "__main__":
    main(sys.argv[1:])
