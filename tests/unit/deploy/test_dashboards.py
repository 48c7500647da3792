"""Dashboards match their code and query exported metrics; the page lists all metrics.

The metrics are found twice: `catalogue` reads the sources, and the tests import them and ask the
registry of prometheus_client.
"""

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from ringfence_dashboards import __main__ as dashboards
from ringfence_dashboards.board import SOURCE, Board
from ringfence_dashboards.catalogue import Metric, metrics

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
each_board = pytest.mark.parametrize("board", dashboards.BOARDS, ids=lambda board: board.uid)


def expressions() -> list[str]:
    """The queries of the committed dashboards, with a window in place of Grafana's variable."""
    found = []
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            found += [target["expr"] for target in panel.get("targets", ())]
    return [expression.replace("$__rate_interval", "1m") for expression in found]


@pytest.mark.parametrize("path", dashboards.files(), ids=str)
def test_a_file_matches_its_code(path: Path) -> None:
    assert (ROOT / path).read_text() == dashboards.files()[path], "run make dashboards"


def test_no_file_of_a_removed_dashboard_is_left() -> None:
    committed = {path.stem for path in (GRAFANA / "dashboards").iterdir()}
    assert committed == {board.uid for board in dashboards.BOARDS}


def test_every_query_names_series_that_services_export() -> None:
    exported = {name for metric in metrics() for name in metric.series}
    asked = {name for each in expressions() for name in re.findall(r"ringfence_\w+", each)}
    assert asked - exported == set()
    assert len(asked) > 40


def test_every_label_of_a_query_is_one_of_its_metrics() -> None:
    known = {name: metric.labels for metric in metrics() for name in metric.series}
    target = {"le", "service"}  # of histograms, and of deploy/prometheus/prometheus.yml
    for expression in expressions():
        names = re.findall(r"ringfence_\w+", expression)
        grouped = {
            label.strip()
            for labels in re.findall(r"by \(([^)]*)\)", expression)
            for label in labels.split(",")
        }
        matched = set(re.findall(r"(\w+)=~?\"", expression))
        labels = {label for name in names for label in known[name]} | target
        if names:
            assert grouped | matched <= labels, expression


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_can_parse_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"checked:{number}", "expr": expression}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "queries.rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@each_board
def test_panels_fill_rows_and_do_not_overlap(board: Board) -> None:
    panels = json.loads(dashboards.files()[dashboards.FOLDER / f"{board.uid}.json"])["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_grafana_has_the_source_and_folder_that_the_dashboards_need() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert (source["uid"], source["type"]) == (SOURCE.uid, SOURCE.type_val)
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/ringfence.yml").read_text())[
        "providers"
    ]
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    assert source["url"].split("//")[1].split(":")[0] in services


def test_grafana_listens_on_loopback_only_and_without_logins() -> None:
    grafana = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["grafana"]
    assert all(port.startswith("127.0.0.1:") for port in grafana["ports"])
    settings = grafana["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def imported() -> set[str]:
    """The series that the sources export, after all modules with metrics were imported."""
    for folder in ("services", "shared"):
        for path in (ROOT / folder).glob("**/src/**/*.py"):
            if "from prometheus_client import" in path.read_text():
                parts = path.with_suffix("").parts
                importlib.import_module(".".join(parts[parts.index("src") + 1 :]))
    kinds = {"counter": "_total", "gauge": "", "histogram": ""}
    return {
        f"{family.name}{kinds[family.type]}"
        for family in REGISTRY.collect()
        if family.name.startswith("ringfence_")
    }


def test_the_page_lists_every_metric_and_no_other() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(ringfence_\w+)`", page, re.MULTILINE)) == imported()


def test_a_metric_that_is_not_made_of_constants_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "services" / "x" / "src" / "x.py"
    source.parent.mkdir(parents=True)
    source.write_text('from prometheus_client import Gauge\nGauge("ringfence_x", "X.", ["a"])\n')
    assert metrics(tmp_path) == [Metric("ringfence_x", "gauge", ("a",), "X.", "x")]
    source.write_text('from prometheus_client import Gauge\nGauge("ringfence_x", "X.", LABELS)\n')
    with pytest.raises(ValueError, match=r"x\.py:2: a metric is defined by constants"):
        metrics(tmp_path)
