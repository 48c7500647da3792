"""What is compiled is named by its path: a module that is renamed must be renamed there as well."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from ringfence_local.compiled import PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_that_is_compiled_exists(package: str) -> None:
    found = find_spec(package)
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    assert [name for name in PACKAGES[package] if not (folder / name).is_file()] == []
