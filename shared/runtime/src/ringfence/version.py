"""The version of this product: `python -m ringfence.version` prints it.

It is written here and nowhere else; every package takes it from this file when it is built. The
files that name images repeat it, and `make version TO=…` writes all of them (docs/releases.md).
Nothing but the standard library is imported: packages are built where nothing else is installed.
"""

import os

VERSION = "0.2.0.dev0"
"""As in the latest section of CHANGELOG.md; `.dev0` until that section is cut."""


def version() -> str:
    """The version that the image was built as; outside of images, that of the sources."""
    return os.environ.get("RINGFENCE_BUILD_VERSION") or VERSION


def revision() -> str:
    """The commit that the image was built from; empty where that is not known."""
    known = os.environ.get("RINGFENCE_BUILD_REVISION", "")
    return "" if known == "unknown" else known


def describe_version() -> str:
    """Version and, where it is known, revision: `0.2.0, revision 8cd11ba`."""
    return f"{version()}, revision {revision()}" if revision() else version()


if __name__ == "__main__":
    print(describe_version())  # noqa: T201
