"""Running the server: the first admin, the socket, the greeting, and a clean end."""

import asyncio
import errno
import gc
import signal
import socket
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from app.bootstrap import StartError, first_admin, open_house, prepare_store
from app.config import Settings
from app.logs import is_readable
from app.main import create_app
from app.prompt import PromptConnection
from app.transport import Server
from app.workers import Workers

# For what was accepted. With the notice before it, and what is to be let go of after it, this stays
# below `workers.STOP_SECONDS`.
GRACE_SECONDS = 8
BACKLOG = 2048

_LOG = structlog.get_logger("gatehouse")


def serve(settings: Settings) -> None:
    """Prepare the store, make the first admin, greet, and serve until SIGTERM or SIGINT.

    Raises StartError, and what `prepare_store` raises; the port is taken first, so that a
    start that cannot succeed changes nothing.
    """
    # uvicorn raises the signal again when it has shut down; with this, that is a good end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with _listening(settings) as sock:
        prepare_store(settings)
        _warn(settings)
        if settings.workers == 1:
            _run(_serve(settings, sock, greet=True))
            return
        _run(_welcome(settings, sock))
        Workers(settings.workers, lambda: _run(_serve(settings, sock)), stopping=sock.close).keep()


def _run(main: Coroutine[Any, Any, None]) -> None:
    loops = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main)


async def _welcome(settings: Settings, sock: socket.socket) -> None:
    """What is to be done once, before the workers begin."""
    async with open_house(settings) as house:
        told = await first_admin(house, settings, show=_is_watched(settings))
    _greet(settings, sock, told)


async def _serve(settings: Settings, sock: socket.socket, *, greet: bool = False) -> None:
    async with open_house(settings) as house:
        if greet:
            told = await first_admin(house, settings, show=_is_watched(settings))
            _greet(settings, sock, told)
        app = create_app(settings, house.services)
        # All this stays: to look for garbage among it would keep everybody waiting for nothing.
        gc.freeze()
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            http=PromptConnection,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        try:
            await Server(config).serve(sockets=[sock])
        finally:
            _LOG.info("stopped")


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {settings.port} at {settings.host} is in use: set GATEHOUSE_PORT to another "
                "one, or stop what listens there."
            ) from None
        raise StartError(
            f"Cannot listen at {settings.host} port {settings.port} (GATEHOUSE_HOST, "
            f"GATEHOUSE_PORT): {error.strerror}."
        ) from None
    return sock


def _warn(settings: Settings) -> None:
    if settings.rate_limits == "off":
        _LOG.warning("rate limits and account locks are switched off")
    mode = settings.data_dir.stat().st_mode & 0o777
    if mode & 0o077:
        path = str(settings.data_dir.resolve())
        _LOG.warning("others may reach the data directory", path=path, mode=f"{mode:04o}")


def _is_watched(settings: Settings) -> bool:
    """Whether somebody reads along: the log is for eyes, and goes to a terminal."""
    return is_readable(settings.log_format) and sys.stderr.isatty()


def _greet(settings: Settings, sock: socket.socket, admin_key: str | None) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = settings.public_url or f"http://{host}:{sock.getsockname()[1]}"
    data = Path(settings.data_dir).resolve()
    if not is_readable(settings.log_format):
        first = {} if admin_key is None else {"admin_key": admin_key}
        _LOG.info("serving", url=url, data_dir=str(data), version=version("gatehouse"), **first)
        return
    lines = [
        f"Gatehouse {version('gatehouse')} serves at {url}",
        f"  where to look        {url}/docs and {url}/rpc/docs",
        f"  the chat's door      POST {url}/rpc",
        f"  the panel's door     {url}/users",
        f"  accounts and keys    {data}",
    ]
    if admin_key is not None:
        lines.append(f"  the admin's key      {admin_key}")
        if _is_watched(settings) and settings.bootstrap_admin_key is None:
            lines.append("  (send it as X-Access-Token; it is shown this once)")
    print("\n".join(lines), file=sys.stderr)
