"""Nobody but its user can read the state folder of a stack."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ringfence_local.errors import StackError
from ringfence_local.state import exclusive_folder, save_ports


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def test_what_a_stack_writes_is_of_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    before = os.umask(0o022)
    try:
        with exclusive_folder(folder):
            save_ports(folder, {"kafka": 9092})
            (folder / "new").mkdir()
            subprocess.run(["/bin/sh", "-c", "echo mail > mail.eml"], cwd=folder, check=True)
        assert os.umask(0o022) == 0o022, "the umask is as before"
    finally:
        os.umask(before)
    # If root starts it, PostgreSQL runs as another user, who passes through the folder.
    assert mode(folder) == (0o711 if os.geteuid() == 0 else 0o700)
    written = {path.name: mode(path) for path in folder.iterdir()}
    assert written == {"lock": 0o600, "ports.json": 0o600, "new": 0o700, "mail.eml": 0o600}


def test_a_folder_of_an_older_version_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox").chmod(0o755)
    tmp_path.chmod(0o777)
    with exclusive_folder(tmp_path):
        assert mode(tmp_path) & 0o066 == 0
        assert mode(tmp_path / "inbox") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(StackError, match="belongs to another user"), exclusive_folder(tmp_path):
        pass
