"""Answers that are ready go out at once: no task, no turn of the event loop, no ASGI messages."""

from typing import Any, Protocol, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.transport import Connection, Exchange


class PromptApplication(Protocol):
    """An application that knows at once what it has ready."""

    def at_once(self, scope: Scope, body: bytes) -> tuple[int, bytes] | None:
        """The answer: its status, and all from its first header on; None: ask it by ASGI."""


class PromptConnection(Connection):
    """One client's connection; a request that came in whole may be answered where it is read."""

    # The server's own headers, which change once a second, and how they are written.
    _fields: list[tuple[bytes, bytes]] | None = None
    _written = b""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._at_once = cast("PromptApplication", self.config.loaded_app).at_once

    def _answer(self, exchange: Exchange) -> bool:
        if exchange.more_body or not exchange.keep_alive or self.flow.write_paused:
            return False
        if self.transport.is_closing():
            return False
        answer = self._at_once(cast("Scope", exchange.scope), bytes(exchange.body))
        if answer is None:
            return False
        exchange.response_started = exchange.response_complete = True
        if self._fields is not exchange.default_headers:
            self._fields = exchange.default_headers
            self._written = b"".join([b"%b: %b\r\n" % field for field in self._fields])
        status, rest = answer
        self.transport.write(b"".join((STATUS_LINE[status], self._written, rest)))
        return True
