"""Modules that requests need, but no command: a server loads them before it serves.

An upgrade may replace their files while the server runs, and modules of two releases do not fit
together.
"""

from importlib import import_module

_NAMES = (
    # Libraries load these when they are first used.
    "anyio._backends._asyncio",
    "pydantic._internal._serializers",
    "app.http.introduction",
    "app.rest.openapi",
    "app.rest.pages",
    "app.rpc.openrpc",
    "markdown.extensions.attr_list",
    "markdown.extensions.codehilite",
    "markdown.extensions.fenced_code",
    "markdown.extensions.tables",
    "markdown.extensions.toc",
    "nacl.pwhash",
    "passlib.context",
    "passlib.handlers.argon2",
    "passlib.handlers.bcrypt",
    "passlib.handlers.pbkdf2",
    "passlib.handlers.scrypt",
    "prometheus_client.core",
)


def load_late_modules() -> None:
    """Load them; it takes 30 ms and 4 MB."""
    for name in _NAMES:
        import_module(name)
