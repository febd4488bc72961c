"""Modules loaded at start: each takes time and memory, and some serve features that are off."""

import os
import subprocess
import sys
from pathlib import Path

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


# Runs a server that asks itself for everything, and prints the packages that it loaded meanwhile.
_SERVE = """
import json, os, signal, sys
from http.client import HTTPConnection
from threading import Thread

from app.server import run

def ask(port):
    def send(path, body=None, kind="application/json"):
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("GET" if body is None else "POST", path, body, {"Content-Type": kind})
        return connection.getresponse().read()

    send("/health/live")
    before = set(sys.modules)
    login = {"username": "demo", "password": "correct horse battery"}
    for path in ("/docs", "/rpc/docs", "/openapi.json", "/rpc/openrpc.json", "/handbook/",
                 "/handbook/install.html", "/handbook/search.json", "/metrics", "/nowhere",
                 "/health/ready", "/errors/not-found", "/.well-known/jwks.json"):
        assert send(path), path
    send("/users/@self", json.dumps(login))
    assert b"token" in send("/users/auth", json.dumps(login))
    form = "grant_type=password&username=demo&password=wrong"
    assert b"invalid-credentials" in send("/users/auth", form, "application/x-www-form-urlencoded")
    call = {"jsonrpc": "2.0", "method": "users.nowhere", "id": 1}
    assert b"not found" in send("/rpc", json.dumps(call))
    assert b"not JSON" in send("/rpc?errors=problem", "{")
    loaded = set(sys.modules) - before
    print(*sorted({name.partition(".")[0] for name in loaded} - sys.stdlib_module_names))
    print(*sorted(loaded))
    os.kill(os.getpid(), signal.SIGINT)

greet = run._greet
def greet_and_ask(settings, sock, *rest):
    greet(settings, sock, *rest)
    Thread(target=ask, args=[sock.getsockname()[1]], daemon=True).start()
run._greet = greet_and_ask
sys.argv = ["gatehouse", "serve"]
from app.__main__ import main
main()
"""


def test_a_server_loads_no_package_after_its_start(tmp_path: Path) -> None:
    """An upgrade may have replaced it."""
    own = {"GATEHOUSE_PORT": "0", "GATEHOUSE_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _SERVE],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    packages, modules = done.stdout.splitlines()
    assert packages == "", modules
