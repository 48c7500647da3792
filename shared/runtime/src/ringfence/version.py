"""The version of this product: `python -m ringfence.version` prints it.

Every package takes its version from this file when it is built. The files that name images repeat
it, and `make version TO=…` writes all of them (docs/releases.md). This module imports only the
standard library, because packages are built where nothing else is installed.
"""

import os

VERSION = "0.2.0.dev0"
"""As in the latest section of CHANGELOG.md; with `.dev0` until that version is released."""


def version() -> str:
    """The version of the image; outside of images, that of the sources."""
    return os.environ.get("RINGFENCE_BUILD_VERSION") or VERSION


def revision() -> str:
    """The commit from which the image was built; empty if it is not known."""
    known = os.environ.get("RINGFENCE_BUILD_REVISION", "")
    return "" if known == "unknown" else known


def describe_version() -> str:
    """The version and, if it is known, the revision: `0.2.0, revision 8cd11ba`."""
    return f"{version()}, revision {revision()}" if revision() else version()


if __name__ == "__main__":
    print(describe_version())  # noqa: T201
