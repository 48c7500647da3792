"""`make test-deploy`: what is shipped for containers, run by the engine of this machine.

Not part of `make test`: it needs podman or docker, and builds images.
"""

import pytest

from tests.deploy.containers import Engine, find_engine, have_images


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building images may take its time, and counts as part of the first test."""
    for item in items:
        item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The container engine; without one, all tests are skipped with a line that says so."""
    found = find_engine()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def images(engine: Engine) -> Engine:
    """The engine, with all images built."""
    have_images(engine)
    return engine
