"""A request and its response on a connection."""

import asyncio
import logging
import socket
import struct
from typing import Any, cast

from starlette.types import Message, Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

# SO_LINGER on with a timeout of zero: closing the socket sends a reset.
_RESET = struct.pack("ii", 1, 0)
# What a field may not contain (RFC 9110 section 5.5), except line ends.
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\r\n"))
_WITHOUT_BODY = {204, 304}


class Exchange(RequestResponseCycle):
    """uvicorn's request-response cycle, cheaper to create, which sends a response in one write.

    What only the application needs is created by `begin`, which most requests never reach.
    """

    logger = access_logger = logging.getLogger("uvicorn.error")
    access_log = False
    # Shared by all exchanges: nothing waits for it before `begin`.
    message_event = asyncio.Event()
    disconnected = False
    more_body = True
    response_started = response_complete = False
    keep_alive = waiting_for_100_continue = False
    # The head of the response, which is written with the first part of the body.
    _head = b""
    # The bytes of the body that are still to come; None if its length is unknown.
    _body_left: int | None = None
    _is_chunked = False

    def __init__(self, connection: HttpToolsProtocol, scope: Scope) -> None:
        self.scope = cast("Any", scope)
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.body = bytearray()

    def begin(self) -> None:
        """Prepare for the application, which may wait for the body."""
        self.message_event = asyncio.Event()
        if self.body or not self.more_body:
            self.message_event.set()

    async def send(self, message: Any) -> None:
        """Send a message of the application. Raises RuntimeError for what cannot be framed."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise RuntimeError("The response is already complete.")
        if self.response_started:
            self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            self._head = self._start_response(message)
            self.response_started, self.waiting_for_100_continue = True, False

    def _start_response(self, message: Message) -> bytes:
        """Return the head of the response; its headers have lowercase names, as ASGI demands."""
        status = message["status"]
        lines = [STATUS_LINE[status].rstrip()]
        for name, value in (*self.default_headers, *message["headers"]):
            lines.append(b"%b: %b" % (name, value))
            if name == b"content-length":
                self._body_left = int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close")
        if self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self._is_chunked = self._body_left is None and self._may_be_chunked()
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked")
        head = b"\r\n".join((*lines, b"", b""))
        ends = len(lines) + 1
        if head.count(b"\r") != ends or head.count(b"\n") != ends or _has_controls(head):
            raise RuntimeError("A header of the response contains a control character.")
        return head

    def _may_be_chunked(self) -> bool:
        return True

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        parts, self._head = [self._head], b""
        if self._is_chunked:
            if body:
                parts += (b"%x\r\n" % len(body), body, b"\r\n")
            if is_last:
                parts.append(b"0\r\n\r\n")
        elif self.scope["method"] != "HEAD":
            parts.append(body)
            if self._body_left is not None:
                self._body_left -= len(body)
                if self._body_left < 0 or (is_last and self._body_left):
                    raise RuntimeError("The body of the response does not have its length.")
        self.transport.write(b"".join(parts))
        if is_last:
            self._end_response()

    def _end_response(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class Http10Exchange(Exchange):
    """An exchange of HTTP/1.0, which has no transfer coding (RFC 9112 section 6.1).

    A response without a length ends with its connection; an incomplete one ends with a reset.
    """

    def _may_be_chunked(self) -> bool:
        return False

    async def run_asgi(self, app: Any) -> None:
        """Run the application; reset the connection if the response is incomplete."""
        await super().run_asgi(app)
        if self._body_left is None and self.response_started and not self.response_complete:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()


def _has_controls(head: bytes) -> bool:
    return len(head.translate(None, _CONTROLS)) != len(head)


def lingering(transport: asyncio.Transport) -> asyncio.Transport:
    """Return a transport whose `close` shuts down the sending half only.

    The client closes the other half once it has read the response.
    """
    return cast("asyncio.Transport", _LingeringTransport(transport))


class _LingeringTransport:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Shut down the sending half."""
        if not self._transport.is_closing():
            self._transport.write_eof()
