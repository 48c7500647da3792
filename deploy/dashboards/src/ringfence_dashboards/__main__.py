"""`make dashboards`: writes the dashboards as JSON, and docs/metrics.md."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ringfence_dashboards import money_now, pipeline, reaction, sources
from ringfence_dashboards.board import Board, built
from ringfence_dashboards.catalogue import ROOT, metrics
from ringfence_dashboards.metrics_page import page

BOARDS: tuple[Board, ...] = (money_now.BOARD, reaction.BOARD, sources.BOARD, pipeline.BOARD)
FOLDER = Path("deploy/grafana/dashboards")


def files() -> dict[Path, str]:
    """What is written: each file's path below the repository, and its text."""
    texts = {
        FOLDER / f"{board.uid}.json": json.dumps(built(board), cls=JSONEncoder, indent=2) + "\n"
        for board in BOARDS
    }
    return texts | {Path("docs/metrics.md"): page(metrics())}


def main() -> None:
    """Write all files."""
    for path, text in files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
