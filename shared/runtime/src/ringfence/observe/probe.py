"""`python -m ringfence.observe.probe`: whether this container's service is healthy.

Exit status 0 if `/health` on RINGFENCE_HEALTH_PORT answers 200, else 1 with the reason in one line.
It imports only the standard library, because it runs every few seconds in each container.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_TIMEOUT_S = 4.0


def main() -> int:
    """Call `/health` once; returns the exit status."""
    port = os.environ.get("RINGFENCE_HEALTH_PORT", "")
    if not port.isdecimal() or port == "0":
        print("RINGFENCE_HEALTH_PORT: name the port that the service uses", file=sys.stderr)  # noqa: T201
        return 1
    connection = HTTPConnection("127.0.0.1", int(port), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        report = answer.read(2000).decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        print(f"no answer from /health: {error!r}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        print(f"/health answers {answer.status}: {report}", file=sys.stderr)  # noqa: T201
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
