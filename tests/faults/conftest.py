"""Selection of the fault tests: `make test` runs a part, `make faults` all."""

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `in_full`, unless so much is asked for."""
    if "FAULT_KILLS" in os.environ:
        return
    left_out = [item for item in items if item.get_closest_marker("in_full") is not None]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
