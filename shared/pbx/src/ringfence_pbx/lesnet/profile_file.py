"""Reads profiles of CDR files: the default profile, and those that operators write."""

from importlib.resources import files
from pathlib import Path

from ringfence_contracts.errors import BadInput
from ringfence_pbx.lesnet.profile import Profile, read_profile

DEFAULT = files("ringfence_pbx.lesnet") / "default_profile.toml"


def load_profile(path: Path) -> Profile:
    """A profile from a TOML file. Raises BadInput."""
    if not path.is_file():
        raise BadInput("profile", str(path), "a TOML file; see docs/lesnet.md")
    try:
        return read_profile(path.read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError:
        raise BadInput("profile", str(path), "text in UTF-8") from None


def default_profile() -> Profile:
    """The built-in profile. It is an assumption: no real file of Les.net has confirmed it.

    `ringfence lesnet try` shows how a profile reads a given file.
    """
    return read_profile(DEFAULT.read_text(encoding="utf-8"), "default")
