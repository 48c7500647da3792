"""docs/metrics.md, from the sources."""

from collections.abc import Sequence
from itertools import groupby

from ringfence_dashboards.catalogue import Metric

_HEAD = """# Metrics

`make dashboards` writes this page from the sources. Every service serves its metrics at `/metrics`,
beside `/health`, in the format of Prometheus; deploy/prometheus/prometheus.yml reads them, and
docs/dashboards.md says how to look at them.

- Amounts are whole micro-units: 1,000,000 are one dollar. Divide by 1e6 to show them.
- Gauges that are counted in the database are counted every 15 seconds, by each replica of the
  service: take `max by (...)` over replicas, never `sum`. Counters are each replica's own: take
  `sum by (...)` of their `rate` or `increase`.
- A histogram `x` has the series `x_bucket`, `x_sum` and `x_count`.
- No label holds a client's id, a number or a path: servers' ids are the longest lists there are.
- Postings are counted as they are committed. What `ringfence rerate` posts is not in the counters,
  because a correction is no traffic; the ledger and `ringfence verify` have all of it.
"""


def page(metrics: Sequence[Metric]) -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for where, group in groupby(metrics, key=lambda metric: metric.where):
        parts.append(f"\n## {where[0].upper()}{where[1:]}\n")
        parts.append("| name | kind | labels | unit | meaning |\n|---|---|---|---|---|")
        parts += [_line(metric) for metric in group]
    return "\n".join(parts) + "\n"


def _line(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.meaning} |"
