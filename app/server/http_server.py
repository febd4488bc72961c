"""uvicorn's server with a graceful shutdown that loses no request."""

import asyncio
import math
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import cast

import uvicorn

from app.http.request import LEAVING
from app.runtime.background_tasks import BackgroundTask, Supervisor
from app.server.connection import Connection

# Pending connections accepted at shutdown; the backlog holds no more (app/server/run.py).
_ACCEPTED_MAX = 2048
# From SIGTERM on, requests are served for this long while /health/ready reports 'stopping', so that
# load balancers choose another server.
NOTICE_SECONDS = 2
# Seconds between two checks of the connections, and while the server shuts down.
CHECK_SECONDS = 1.0
_SHUTDOWN_CHECK_SECONDS = 0.1


class HttpServer(uvicorn.Server):
    """uvicorn's server; a background task closes connections whose deadline has passed.

    After SIGTERM every request is served for `NOTICE_SECONDS`, and each response closes its
    connection. SIGINT ends that immediately. Then new connections are refused, and the requests
    that have arrived are answered.
    """

    _stops_at = math.inf
    _closing: BackgroundTask

    def __init__(self, config: uvicorn.Config, background: Supervisor | None = None) -> None:
        super().__init__(config)
        self._background = background or Supervisor()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the notice period on the first SIGTERM; stop on any other signal."""
        if sig != signal.SIGTERM or not self.started:
            super().handle_exit(sig, frame)
        elif self._stops_at == math.inf:
            self._captured_signals.append(sig)
            self.lifespan.state[LEAVING] = True
            self._stops_at = monotonic() + NOTICE_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and start the check of the connections."""
        await super().startup(sockets)
        self._closing = self._background.start("connections", self._close_expired, CHECK_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; uvicorn calls this ten times a second."""
        return await super().on_tick(counter) or monotonic() >= self._stops_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the pending connections, refuse new ones, and answer what has arrived."""
        self.lifespan.state[LEAVING] = True
        await self._accept_pending(sockets or [])
        await self._closing.stop()
        closing = self._background.start(
            "connections", self._close_expired, _SHUTDOWN_CHECK_SECONDS
        )
        await super().shutdown(sockets)
        await closing.stop()

    async def _accept_pending(self, listeners: Iterable[socket.socket]) -> None:
        """Accept the connections in the backlog, which the kernel would reset otherwise."""
        loop = asyncio.get_running_loop()
        for listener in listeners:
            # BlockingIOError if there are no more, any other if none can be accepted.
            with suppress(OSError):
                for _ in range(_ACCEPTED_MAX):
                    accepted, _ = listener.accept()
                    await loop.connect_accepted_socket(self._create_protocol, accepted)

    def _create_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def _close_expired(self) -> None:
        self.close_expired_connections(asyncio.get_running_loop().time())

    def close_expired_connections(self, now: float) -> None:
        """Close the connections whose deadline has passed.

        A connection that fails is aborted, and the others are still checked; the last failure is
        then raised.
        """
        failure: Exception | None = None
        for connection in list(self.server_state.connections):
            try:
                cast("Connection", connection).close_if_expired(now)
            except Exception as error:
                failure = error
                self.server_state.connections.discard(connection)
                cast("Connection", connection).transport.abort()
        if failure is not None:
            raise failure
