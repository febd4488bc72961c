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
_VERSION = """
import sys
from app.__main__ import main
sys.argv[1:] = ["--version"]
main()
print(*sys.modules)
"""


def loaded_by(program: str) -> list[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_a_start_on_sqlite_loads_nothing_that_it_does_not_use() -> None:
    loaded = loaded_by(_START)
    assert UNUSED.isdisjoint(loaded), sorted(UNUSED.intersection(loaded))


def test_printing_the_version_loads_only_what_that_needs() -> None:
    loaded = {name for name in loaded_by(_VERSION) if name.startswith("app.")}
    assert loaded == {
        *("app.__main__", "app.cli", "app.cli.output", "app.cli.version"),
        *("app.domain", "app.domain.text", "app.domain.timestamps"),
        *("app.standard_streams", "app.startup", "app.version"),
    }
