"""`serve`: bind the port, prepare the database, create the first admin, and run the workers."""

import asyncio
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from app.container import (
    StartError,
    database_of,
    ensure_first_admin,
    open_container,
    prepare_store,
)
from app.logs.setup import is_readable, write_text
from app.operations.framework.services import Services
from app.server.fast_path import FastPathConnection
from app.server.http_server import HttpServer
from app.server.late_modules import load_late_modules
from app.server.supervisor import WorkerSupervisor
from app.settings import Settings
from app.storage.sqlite.library import driver, has_sound_wal
from app.version import VERSION, describe_version, find_commit

# Time for accepted requests after the notice period; with that and the release of resources, a stop
# takes less than `supervisor.STOP_SECONDS`.
GRACE_SECONDS = 8
BACKLOG = 2048

_LOG = structlog.get_logger("gatehouse")


CreateApp = Callable[[Settings, Services], ASGIApp]


def serve(settings: Settings, create_app: CreateApp) -> None:
    """Prepare the store, create the first admin, and serve until SIGTERM or SIGINT.

    Raises StartError, and what `prepare_store` raises. The port is bound first, so that a start
    that cannot succeed changes nothing.
    """
    # uvicorn raises the signal again after its shutdown; the exit status is then 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with _bind(settings) as sock:
        prepare_store(settings)
        _log_warnings(settings)
        if settings.workers == 1:
            _run(_serve(settings, create_app, sock, greet=True))
            return
        _run(_greet_once(settings, sock))
        WorkerSupervisor(
            settings.workers, lambda: _run(_serve(settings, create_app, sock)), on_stop=sock.close
        ).run()


def _run(main: Coroutine[Any, Any, None]) -> None:
    loops = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main)


async def _greet_once(settings: Settings, sock: socket.socket) -> None:
    """Create the first admin and print the greeting before the workers start."""
    async with open_container(settings, signs=True) as container:
        key_hint = await ensure_first_admin(container, settings, show=_is_interactive(settings))
    load_late_modules()
    _greet(settings, sock, key_hint)


async def _serve(
    settings: Settings, create_app: CreateApp, sock: socket.socket, *, greet: bool = False
) -> None:
    # Before the greeting, from which on the server is expected to stop at once.
    load_late_modules()
    async with open_container(settings, signs=True) as container:
        if greet:
            key_hint = await ensure_first_admin(container, settings, show=_is_interactive(settings))
            _greet(settings, sock, key_hint)
        app = create_app(settings, container.services)
        # What exists now stays, so the garbage collector need not look at it during requests.
        gc.freeze()
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            http=FastPathConnection,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        try:
            await HttpServer(config, container.services.background).serve(sockets=[sock])
        finally:
            _LOG.info("stopped")


def _bind(settings: Settings) -> socket.socket:
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
            f"Cannot listen at {settings.host} port {settings.port}: {error.strerror}. "
            f"{_remedy(error)}"
        ) from None
    return sock


def _remedy(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "Set GATEHOUSE_PORT to 1024 or more; a reverse proxy can listen at 80 and 443."
    return "Set GATEHOUSE_HOST to an address of this machine, or to 0.0.0.0 for all of them."


def _log_warnings(settings: Settings) -> None:
    if settings.rate_limits == "off":
        _LOG.warning("rate limits and account locks are disabled")
    if (advice := settings.proxy_advice) is not None:
        _LOG.warning("no trusted proxies", reason=advice)
    for advice in settings.network_advice:
        _LOG.warning("network too wide", reason=advice)
    if settings.sqlite_path is not None and not has_sound_wal():
        _LOG.warning(
            "rollback journal instead of WAL, in which this SQLite can corrupt the database",
            sqlite=driver.sqlite_version,
        )
    mode = settings.data_dir.stat().st_mode & 0o777
    if mode & 0o077:
        path = str(settings.data_dir.resolve())
        _LOG.warning("data directory accessible to other users", path=path, mode=f"{mode:04o}")


def _socket_name(sock: socket.socket) -> str:
    """Return address and port of the listening socket."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _database_name(settings: Settings) -> str:
    """Return the URL of the database without its password."""
    path = settings.sqlite_path
    return str(database_of(settings)) if path is None else f"sqlite:///{path.resolve()}"


def _is_interactive(settings: Settings) -> bool:
    """Return whether the log is readable text on a terminal."""
    return is_readable(settings.log_format) and sys.stderr.isatty()


def _greet(settings: Settings, sock: socket.socket, key_hint: str | None) -> None:
    url = settings.base_url(sock.getsockname()[1])
    listens = _socket_name(sock)
    data = Path(settings.data_dir).resolve()
    database = _database_name(settings)
    if not is_readable(settings.log_format):
        fields = {} if key_hint is None else {"admin_key": key_hint}
        # With a key, at the level that most installations show.
        log = _LOG.info if key_hint is None else _LOG.warning
        log(
            "serving",
            url=url,
            listens=listens,
            database=database,
            data_dir=str(data),
            version=VERSION,
            commit=find_commit(),
            **fields,
        )
        return
    lines = [
        f"Gatehouse {describe_version()} serves at {url}",
        f"  documentation        {url}/docs and {url}/rpc/docs",
        f"  JSON-RPC API         POST {url}/rpc",
        f"  REST API             {url}/users",
        f"  listens at           {listens}",
        f"  database             {database}",
        f"  data directory       {data}",
    ]
    if key_hint is not None:
        lines.append(f"  admin key            {key_hint}")
        if _is_interactive(settings) and settings.bootstrap_admin_key is None:
            lines.append("  (send it in the X-Access-Token header; it is shown only once)")
    write_text("\n".join(lines))
