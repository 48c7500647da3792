"""Coverage is added up by package."""

from tests.support.coverage_table import counts_by_package, table

KAFKA = "a/src/ringfence/kafka"


def summary(statements: int, run: int, branches: int = 0, taken: int = 0) -> dict[str, object]:
    return {
        "summary": {
            "num_statements": statements,
            "covered_lines": run,
            "num_branches": branches,
            "covered_branches": taken,
        }
    }


def test_files_of_a_package_are_added_up_and_the_total_comes_last() -> None:
    files = {
        "a/src/rating/pricing/price.py": summary(10, 5, 4, 1),
        "a/src/rating/pricing/tariff.py": summary(30, 25, 4, 4),
        f"{KAFKA}/brokers.py": summary(8, 8),
        f"{KAFKA}/deep/inside.py": summary(2, 0),
    }
    _, rating, kafka, total = table(counts_by_package({"files": files})).splitlines()
    assert rating.split() == ["rating.pricing", "40", "75.0", "%", "8", "62.5", "%"]
    assert kafka.split() == ["ringfence.kafka", "10", "80.0", "%", "0", "-"]
    assert total.split() == ["total", "50", "76.0", "%", "8", "62.5", "%"]
