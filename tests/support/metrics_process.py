"""A process that exports every metric of the sources with a value: `python … PORT`."""

import sys
import threading
from itertools import product

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from ringfence_dashboards.catalogue import metrics

VALUES = {
    "kind": ("charge", "top-up"),
    "level": ("low",),
    "mode": ("live",),
    "status": ("500",),
    "wanted": ("active", "suspended"),
    "way": ("in", "out"),
}
"""The label values that the dashboards query; any other label has the value x."""


def main() -> None:
    """Export until killed; counters increase continuously."""
    made = []
    for metric in metrics():
        kind = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}[metric.kind]
        family = kind(metric.name, metric.meaning, metric.labels)
        for values in product(*(VALUES.get(label, ("x",)) for label in metric.labels)):
            made.append(family.labels(*values) if values else family)
    start_http_server(int(sys.argv[1]), "127.0.0.1")
    pause = threading.Event()
    while not pause.wait(0.2):
        for each in made:
            if isinstance(each, Histogram):
                each.observe(0.1)
            else:
                each.inc()


if __name__ == "__main__":
    main()
