"""Gateways whose rows change with requests only, however long a test takes."""

import pytest

from app.storage import deferred_writes


@pytest.fixture(autouse=True)
def _no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flush deferred writes when the store is closed: two gateways are compared row by row."""
    monkeypatch.setattr(deferred_writes, "SECONDS", 3600.0)
