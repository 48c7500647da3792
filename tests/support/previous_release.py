"""The release before this version, and its files from git."""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from ringfence.version import VERSION

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "releases.md"
_ROW = re.compile(
    r"^\| (\d+\.\d+\.\d+) \| ([\d-]{10}) \| `([0-9a-f]{40})` \| `(\w+\.sql)` \|$", re.M
)
_MEANT = re.compile(r"^\| `([\w.-]+)` \| `([\w.\[\]]+)` \| ADR (\d{4}) \|$", re.MULTILINE)


class NotHere(Exception):
    """The commit of a release is not in this copy of the repository; the message says why."""


@dataclass(frozen=True)
class Release:
    """A line of docs/releases.md."""

    version: Version
    date: str
    commit: str
    last_migration: str

    def tree(self, *paths: str) -> dict[str, bytes]:
        """The files below `paths` as they were released, by path. Raises NotHere."""
        try:
            archive = _git("archive", self.commit, *paths)
        except NotHere as why:
            lacks = f"this copy of the repository lacks commit {self.commit[:12]}"
            raise NotHere(f"{lacks} (git fetch --unshallow brings it): {why}") from None
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
            return {name: file.read() for name, file in files.items() if file is not None}

    def unpack(self, folder: Path, *paths: str) -> None:
        """Write those files below `folder`. Raises NotHere."""
        for name, content in self.tree(*paths).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def tagged(self) -> str | None:
        """The commit with the release's tag; None if this copy has no such tag."""
        tag = f"v{self.version}"
        if not _git("tag", "--list", tag).strip():
            return None
        return _git("rev-parse", f"{tag}^{{commit}}").decode().strip()


def releases() -> list[Release]:
    """The releases of docs/releases.md, the newest first."""
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    found = [Release(Version(version), *others) for version, *others in rows]
    return sorted(found, key=lambda release: release.version, reverse=True)


def previous() -> Release:
    """The newest release that is older than these sources."""
    return next(each for each in releases() if each.version < Version(VERSION))


def readers_first(page: str | None = None) -> dict[tuple[str, str], str]:
    """Fields that earlier readers refuse, as docs/releases.md lists them, with the ADR of each."""
    rows = _MEANT.findall(PAGE.read_text(encoding="utf-8") if page is None else page)
    return {(topic, field): adr for topic, field, adr in rows}


def has_adr(number: str) -> bool:
    """Whether there is a decision of that number, such as 0033."""
    return any((ROOT / "docs" / "adr").glob(f"{number}-*.md"))


def same_major(release: Release) -> bool:
    """Whether these sources promise to run beside `release`."""
    return release.version.major == Version(VERSION).major


def _git(*arguments: str) -> bytes:
    """The output of git in this repository. Raises NotHere with its last line."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, check=False
        )
    except FileNotFoundError:
        raise NotHere("git is not installed") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotHere(f"git {arguments[0]}: {lines[-1] if lines else done.returncode}")
    return done.stdout
