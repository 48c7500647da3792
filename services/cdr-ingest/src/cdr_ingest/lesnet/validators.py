"""What identifies a version of a CDR file: the validators of HTTP. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Validators:
    """What a server calls the version of a file that it sent; empty where it says nothing."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        """The headers that ask for the file only if it changed."""
        pairs = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in pairs.items() if value}
