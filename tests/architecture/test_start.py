"""Modules loaded at start: each takes time and memory, and some serve features that are off."""

import subprocess
import sys

import pytest

# A release of SQLAlchemy, say, that imports more by itself is to be noticed.
UNUSED = {
    "alembic",
    "aiosqlite",
    "app.rest.openapi",
    "app.rpc.openrpc",
    "asyncpg",
    "httpx",
    "limits",
    "packaging",
    "pydantic.v1",
    "redis",
    "rich",
    "sqlalchemy.dialects.postgresql",
}


@pytest.mark.parametrize("modules", ["app.cli.main, app.main, app.server.run"])
def test_a_start_on_sqlite_loads_nothing_that_it_does_not_use(modules: str) -> None:
    asked = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    ).stdout.split()
    assert UNUSED.isdisjoint(loaded), sorted(UNUSED.intersection(loaded))
