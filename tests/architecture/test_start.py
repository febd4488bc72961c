"""Modules loaded at start: each takes time and memory, and some serve features that are off."""

import subprocess
import sys

# A release of SQLAlchemy, say, that imports more by itself is to be noticed.
UNUSED = {
    "alembic",
    "aiosqlite",
    "app.rest.openapi",
    "app.rpc.openrpc",
    "asyncpg",
    "bcrypt",
    "cryptography.hazmat.primitives.serialization.ssh",
    "cryptography.x509",
    "http.server",
    "httpx",
    "limits",
    "markdown",
    "packaging",
    "passlib",
    "pydantic.v1",
    "pydantic_settings",
    "redis",
    "rich",
    "sqlalchemy.dialects.postgresql",
    "typer",
}


_START = """
import sys
from app.startup import fast_imports
with fast_imports():
    import app.cli.main, app.main, app.server.run
print(*sys.modules)
"""


def test_a_start_on_sqlite_loads_nothing_that_it_does_not_use() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", _START], capture_output=True, text=True, check=True
    ).stdout.split()
    assert UNUSED.isdisjoint(loaded), sorted(UNUSED.intersection(loaded))
