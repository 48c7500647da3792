"""What `make test-fast` runs in which process."""

from pathlib import Path

from tests.support.fast import modules, split
from tests.support.sources import ROOT


def test_every_module_of_unit_and_contract_tests_is_run() -> None:
    names = {str(path.relative_to(ROOT)) for path in modules()}
    assert {"tests/unit/support/test_fast.py", "tests/contract/test_help.py"} <= names
    assert not [name for name in names if not name.startswith(("tests/unit/", "tests/contract/"))]


def test_each_module_is_in_one_group_of_about_the_same_size(tmp_path: Path) -> None:
    paths = [tmp_path / f"test_{number}.py" for number in range(9)]
    for number, path in enumerate(paths):
        path.write_text("x" * number * 100)
    groups = split(paths, 2)
    assert sorted(path for group in groups for path in group) == paths
    assert [sum(p.stat().st_size for p in group) for group in groups] == [1800, 1800]


def test_a_few_modules_make_no_empty_group(tmp_path: Path) -> None:
    only = tmp_path / "test_one.py"
    only.write_text("x")
    assert split([only], 4) == [[only]]
