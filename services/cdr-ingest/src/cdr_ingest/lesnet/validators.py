"""The HTTP validators that identify a version of a CDR file: pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Validators:
    """The validators that a server sent with a file; empty where it sent none."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        """The request headers that ask for the file only if it changed."""
        pairs = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in pairs.items() if value}
