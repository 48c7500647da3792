"""A dashboard as rows of panels, and what Grafana makes of it."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="ringfence-prometheus")
"""As deploy/grafana/provisioning/datasources/prometheus.yml names it."""

TAG = "ringfence"
WIDTH = 24
Kind = Literal["stat", "graph"]


class Query(NamedTuple):
    """What is asked of Prometheus; `legend` names each series by its labels."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One picture. `unit` is one of Grafana's; `bad_from` turns the value red from there on."""

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "graph"
    bad_from: float | None = None
    stacked: bool = False


class Row(NamedTuple):
    """Panels side by side, all of the same width."""

    title: str
    panels: tuple[Panel, ...]


class Board(NamedTuple):
    """A dashboard; `uid` is in its address and the name of its file."""

    uid: str
    title: str
    meaning: str
    rows: tuple[Row, ...]

    def queries(self) -> Iterator[str]:
        """All expressions."""
        for row in self.rows:
            for panel in row.panels:
                yield from (query.expr for query in panel.queries)


def money(expr: str) -> str:
    """An amount in micro-units, as whole units of its currency."""
    return f"({expr}) / 1e6"


def quantile(q: float, histogram: str, *by: str, window: str = "$__rate_interval") -> str:
    """A quantile of a histogram over the replicas of a service."""
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[{window}])))"


def built(board: Board) -> model.Dashboard:
    """The dashboard that Grafana loads."""
    dashboard = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.meaning)
        .tags([TAG])
        .timezone("browser")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("30s")
        .link(
            build.DashboardLink("ringfence")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    for row in board.rows:
        dashboard = dashboard.with_row(build.Row(row.title))
        for panel in row.panels:
            dashboard = dashboard.with_panel(_panel(panel, WIDTH // len(row.panels)))
    return dashboard.build()


def _panel(panel: Panel, width: int) -> stat.Panel | timeseries.Panel:
    one: stat.Panel | timeseries.Panel = _stat() if panel.kind == "stat" else _graph(panel)
    one = (
        one.title(panel.title)
        .description(panel.meaning)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(width)
        .height(4 if panel.kind == "stat" else 8)
        .thresholds(_thresholds(panel.bad_from))
    )
    for number, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .expr(query.expr)
            .legend_format(query.legend or "__auto")
            .ref_id(chr(ord("A") + number))
            .datasource(SOURCE)
        )
        one = one.with_target(target.instant() if panel.kind == "stat" else target.range())
    return one


def _stat() -> stat.Panel:
    return (
        stat.Panel()
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .text_mode(common_models.BigValueTextMode.AUTO)
        .no_value("no data")
    )


def _graph(panel: Panel) -> timeseries.Panel:
    mode = common_models.StackingMode.NORMAL if panel.stacked else common_models.StackingMode.NONE
    return (
        timeseries.Panel()
        .min(0)
        .fill_opacity(20 if panel.stacked else 5)
        .show_points(common_models.VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(mode))
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )


def _thresholds(bad_from: float | None) -> build.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if bad_from is not None:
        steps.append(model.Threshold(value=bad_from, color="red"))
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
