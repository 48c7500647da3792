"""Replaces itself by a command that gets a signal when its parent process ends.

`python parent_death_signal.py PARENT_PID SIGNAL [--as USER] -- COMMAND…`

A child process survives a parent that is killed with SIGKILL, and a leftover broker would block its
folder and port for the next start. Linux can send a process a signal when its parent's thread ends
(the parent death signal). It must be requested between fork and exec, which Python cannot do safely
while other threads run; a program of its own can. This program requests the signal and then
executes the command (same process id). On other systems it only executes the command, and the next
start finds and ends what was left running.

With `--as` it first drops root, because PostgreSQL refuses to run as root. It keeps the capability
to enter folders that are closed to others (a clone below /root, a temporary folder), so that no
folder has to be opened to all.

It is run by its path, so it imports the standard library only.
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
    """Request signal `number` for the parent's end; exit if the parent has already ended."""
    if sys.platform != "linux":
        return
    if _libc().prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)


def _drop_root_for(user: str) -> None:
    """Change from root to `user`, and keep only the capability to enter closed folders."""
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
    """Keep CAP_DAC_OVERRIDE over exec. In a container that lacks it, this has no effect."""
    libc = _libc()
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable of capabilities 0 to 31, then of 32 to 63
    wanted = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, wanted) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: list[str]) -> None:
    """Execute the command; `arguments` are those of the module's docstring."""
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    parent = int(options[0])
    if "--as" in options:
        _drop_root_for(options[options.index("--as") + 1])
    # Changing the user clears the parent death signal, so it is requested afterwards.
    _die_with(parent, signal.Signals[options[1]])
    os.execvp(command[0], command)  # noqa: S606 - executing the command is this program's purpose


if __name__ == "__main__":
    main(sys.argv[1:])
