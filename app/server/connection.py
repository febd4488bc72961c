"""HTTP/1.1 connection with strict framing, limits and deadlines.

uvicorn's protocol class on httptools is the only parser. The application answers what the parser or
this module rejects with a problem, after the requests before it; then the connection is closed. A
client that is too slow gets no response: it is unlikely to read one.
"""

import asyncio
import math
from collections import deque
from enum import Enum, auto
from typing import Any, cast
from urllib.parse import unquote

import httptools
import structlog
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.domain.errors import InvalidInput
from app.domain.rate_limits import client_network
from app.http.client_address import peer_address
from app.http.request import BODY_MAX, CONNECTION, LEAVING, REFUSED
from app.server.connection_limits import ConnectionLimits, limits_of
from app.server.exchange import Exchange, Http10Exchange, lingering
from app.server.framing import RequestLines, UpgradeIgnoringCallbacks
from app.server.head import (
    FIELDS_MAX,
    HEAD_MAX,
    TARGET_MAX,
    TOO_LONG,
    MalformedError,
    check_host,
    check_target,
    framing_fields,
    head_without_upgrade,
    is_origin_form,
)

# A single read from a socket could contain thousands of requests.
PIPELINE_MAX = 32
# Bytes that are read and dropped after a body was refused, for clients that read the response only
# after they have sent everything.
DRAINED_MAX = 16 * BODY_MAX

# Below the idle timeout of the proxies in docs/examples.
IDLE_SECONDS = 5
HEAD_SECONDS = 10
BODY_SECONDS = 30
# For the buffered part of a response, about 64 KiB, if its client reads slowly.
WRITE_SECONDS = 60
# After a client has closed its sending half, pauses between checks that it still reads.
PROBE_SECONDS = 1
# A rejected client may go on sending for this long: closing at once would reset the connection, and
# the client might lose the response.
LINGER_SECONDS = 2
# While the server shuts down: how long an open connection may still send a request.
LAST_SECONDS = 1

_VERSIONS = {"1.1": b"1.1", "1.0": b"1.0"}
# Drops the trailers that are added to it.
_DROPPED = cast("list[tuple[bytes, bytes]]", deque[tuple[bytes, bytes]](maxlen=0))
_ASGI = {"version": "3.0", "spec_version": "2.3"}
# The members of a scope that differ by request.
_REQUEST_MEMBERS = (
    "http_version",
    "method",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "state",
)
_NOT_HTTP = "The request is not valid HTTP/1.1."
_TOO_MUCH_OVERHEAD = "The chunks of the body have too much overhead."
_LOG = structlog.get_logger("gatehouse.transport")


class Part(Enum):
    """Part of a request that is being received."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()


# Looking a member up in its class is slower.
_NONE, _HEAD, _BODY = Part


class Connection(HttpToolsProtocol):
    """Connection of a client.

    A timer for each request would cost more than a check of all connections once a second, so a
    connection only stores deadlines, in the loop's time; they are infinite while the server does
    not wait for the client.
    """

    cycle: Exchange
    # The members that the scopes of all requests share.
    _shared_scope: dict[str, Any]
    # The exchange to begin once everything that was read is parsed.
    _next_exchange: Exchange | None = None
    # The exchange that the application is answering.
    _running_exchange: Exchange | None = None

    # Since when the server waits for the client, and until when.
    _waiting_since = 0.0
    _deadline = math.inf
    _write_deadline = math.inf
    # The part that is being received, and the part that `_deadline` is for.
    _part = _NONE
    _awaited_part = _NONE
    # Body bytes received, those of them at the last check, and bytes received without any body.
    _body_bytes = 0
    _body_bytes_seen = 0
    _overhead_bytes = 0
    # Size of the last read.
    _read_bytes = 0
    # `ConnectionLimits` counts bytes of an incomplete body.
    _has_partial_body = False
    _host = b""
    _is_chunked = False
    # The head of a request with a body and an Upgrade field, without that field: llhttp treats what
    # follows such a head as another protocol.
    _upgrade_head = b""
    _is_input_closed = False
    # When the client closed its sending half, if a response is still due.
    _half_closed_at = math.inf
    # The network whose connections are limited together; None if there is no limit.
    _network: str | None = None
    _limits: ConnectionLimits

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._request_lines = RequestLines()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Prepare the connection. If there are too many, the longest waiting one is closed."""
        super().connection_made(transport)
        self._shared_scope = {
            "type": "http",
            "asgi": _ASGI,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            CONNECTION: self,
            **dict.fromkeys(_REQUEST_MEMBERS),
        }
        self._set_deadline(HEAD_SECONDS)
        self._limits = limits_of(self.server_state)
        is_unlimited = getattr(self.app, "is_unlimited_peer", lambda _client: False)
        address = peer_address(self.client)
        if address is not None and not is_unlimited(self.client):
            self._network = client_network(address)
        self._limits.add_connection(self, self._network)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the running exchange; uvicorn notifies only the last one."""
        if self._running_exchange is not None and not self._running_exchange.response_complete:
            self._running_exchange.disconnected = True
            self._running_exchange.message_event.set()
        self._limits.remove_connection(self, self._network)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether responses are still due to a client that sends no more (RFC 9112, 9.6).

        Complete requests are answered, and the last response closes the connection. An incomplete
        request is dropped.
        """
        if self._part is _BODY:
            self._cancel_exchange()
            if self.pipeline:
                self.cycle = cast("Exchange", self.pipeline[0][0])
            elif self._running_exchange is not None:
                self.cycle = self._running_exchange
        self._part = _NONE
        self._is_input_closed = True
        if self._has_answered_all() or self.cycle.disconnected:
            return False
        self.cycle.keep_alive = False
        self._half_closed_at = self.loop.time()
        # The client sends nothing more, so the connection can be closed immediately.
        self.cycle.transport = self.transport
        return True

    # Receiving.

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent, and begin the next exchange."""
        if self._is_input_closed:
            return
        self._read_bytes = len(data)
        lines = self._request_lines
        if self._part is not _NONE:
            (lines.feed_head if self._part is _HEAD else lines.feed_body)(data)
        elif lines.position == len(lines.text):
            # Nothing follows the previous request.
            lines.text, lines.position = data, 0
        else:
            lines.feed(data)
        self._parse(data)
        if self._part is not _NONE and not self._is_input_closed:
            self._check_progress()
        elif self._has_partial_body:
            self._clear_partial_body()
        exchange, self._next_exchange = self._next_exchange, None
        while exchange is not None and self._try_fast_path(exchange):
            exchange = self._take_next_exchange()
        if exchange is not None:
            self._run_application(exchange)

    def _parse(self, data: bytes) -> None:
        """Feed the parser; offers to upgrade to another protocol are ignored."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            head, self._upgrade_head = self._upgrade_head, b""
            if head:
                self.parser = UpgradeIgnoringCallbacks(self).create_parser(head)
            self._parse(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._reject(str(reason) if isinstance(reason, MalformedError) else _NOT_HTTP)

    def _try_fast_path(self, _exchange: Exchange) -> bool:
        """Return whether the response was sent without running the application."""
        return False

    def _check_progress(self) -> None:
        """Set the deadline for the rest of a head or body, and enforce the limits on its size."""
        if self._awaited_part is not self._part:
            self._awaited_part = self._part
            self._body_bytes = self._overhead_bytes = self._body_bytes_seen = 0
            self._clear_partial_body()
            self._set_deadline(HEAD_SECONDS if self._part is _HEAD else BODY_SECONDS)
        elif self._body_bytes > self._body_bytes_seen:
            self._body_bytes_seen, self._overhead_bytes = self._body_bytes, 0
            if self._body_bytes > DRAINED_MAX:
                self._stop_reading()
        else:
            self._overhead_bytes += self._read_bytes
            if self._overhead_bytes > HEAD_MAX:
                self._reject(TOO_LONG if self._part is _HEAD else _TOO_MUCH_OVERHEAD)
        if self._part is _BODY and not self.cycle.response_complete:
            self._has_partial_body = True
            self._limits.add_partial_body(self, self._read_bytes)

    def _clear_partial_body(self) -> None:
        self._has_partial_body = False
        self._limits.remove_partial_body(self)

    def on_message_begin(self) -> None:
        """Begin a request at its first byte."""
        self.url = b""
        self.headers = []
        self._part = _HEAD
        self._awaited_part = _NONE

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field of the head, or of a trailer."""
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Check the head of a request, and queue its exchange. Raises MalformedError."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise MalformedError("Only HTTP/1.1 and HTTP/1.0 are supported.")
        method = self.parser.get_method()
        expects = self._check_head(method, version)
        self._part = _BODY
        scope = self._create_scope(method.decode("ascii"), self.url, version, self.headers)
        exchange = Exchange(self, scope) if version == "1.1" else Http10Exchange(self, scope)
        if expects:
            # After a response that did not wait for the body, the client may send it or not.
            exchange.waiting_for_100_continue = True
        elif version != "1.0" and LEAVING not in self.app_state:
            exchange.keep_alive = self.parser.should_keep_alive()
        # Trailers never count as headers (RFC 9110 section 6.5.1).
        self.headers = _DROPPED
        is_next = self._has_answered_all()
        self.cycle = exchange
        if is_next:
            self._next_exchange = exchange
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def _create_scope(
        self, method: str, target: bytes, version: str, headers: list[tuple[bytes, bytes]]
    ) -> Scope:
        """Return the ASGI scope of a request."""
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        # Copying a large dict is much cheaper than building it.
        scope = self._shared_scope.copy()
        scope["http_version"] = version
        scope["method"] = method
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        scope["headers"] = headers
        scope["state"] = self.app_state.copy()
        return scope

    def on_body(self, body: bytes) -> None:
        """Add a piece of the body."""
        self._body_bytes += len(body)
        self._request_lines.skip_body(len(body))
        exchange = self.cycle
        if not exchange.response_complete:
            exchange.body += body
            if len(exchange.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            exchange.message_event.set()

    def on_message_complete(self) -> None:
        """End the request."""
        if self._upgrade_head:
            # The parser stops here, but the body follows: see `_parse`.
            return
        self._part = _NONE
        exchange = self.cycle
        if exchange.response_complete:
            self._set_deadline(IDLE_SECONDS)
        else:
            exchange.more_body = False
            exchange.message_event.set()

    def _check_head(self, method: bytes, version: str) -> bool:
        """Return whether the client expects 100 Continue before it sends the body.

        Raises MalformedError for what httptools accepts against RFC 9112 sections 2.3, 3.2 and 6.1.
        """
        hosts, self._is_chunked, expects = framing_fields(self.headers, version)
        if len(self.headers) > FIELDS_MAX or len(self.url) > TARGET_MAX or self._is_head_too_long():
            raise MalformedError(TOO_LONG)
        line = b"%b %b HTTP/%b\r\n" % (method, self.url, _VERSIONS[version])
        if not self._request_lines.consume_head(line, self._is_chunked):
            raise MalformedError(_NOT_HTTP)
        if hosts != [self._host]:
            check_host(hosts, version)
            self._host = hosts[0] if hosts else b""
        if not is_origin_form(self.url):
            self.url, self.headers = check_target(self.url, self.headers, hosts)
        if self.parser.should_upgrade():
            if method == b"CONNECT":
                raise MalformedError("CONNECT is not supported.")
            self._upgrade_head = head_without_upgrade(self.headers, version)
        if len(self.pipeline) >= PIPELINE_MAX:
            raise MalformedError("Too many pipelined requests: wait for the responses.")
        return expects

    def _is_head_too_long(self) -> bool:
        if self._awaited_part is _NONE and self._read_bytes <= HEAD_MAX:
            return False
        size = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.url) + size > HEAD_MAX

    # Deadlines.

    def _set_deadline(self, seconds: float) -> None:
        """Wait for the client from now on, for so many seconds."""
        self._waiting_since = self.loop.time()
        self._deadline = self._waiting_since + seconds

    def waiting_since(self) -> float | None:
        """Return since when the client is expected to send or to read; None if it is not."""
        if self.flow.write_paused:
            return self._write_deadline - WRITE_SECONDS
        return self._waiting_since if self.is_waiting_for_client() else None

    def abort(self) -> None:
        """Close the connection immediately."""
        self.transport.abort()

    def is_disconnected(self) -> bool:
        """Return whether the client has disconnected, or closed its sending half."""
        return self._half_closed_at < math.inf or self.transport.is_closing()

    def is_waiting_for_client(self) -> bool:
        """Return whether the next step is the client's."""
        if self._part is _BODY:
            return not (self.pipeline or self.flow.read_paused)
        return self._has_answered_all()

    def _has_answered_all(self) -> bool:
        """Return whether every request whose head was received has its response."""
        # uvicorn's annotation is wrong: `cycle` is None before the first request.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def close_if_expired(self, now: float) -> None:
        """Close the connection if its client sends or reads too slowly."""
        if now - self._half_closed_at >= PROBE_SECONDS:
            self._send_probe()
        if now >= self._write_deadline:
            self.transport.abort()
        elif self.transport.is_closing():
            self._write_deadline = min(self._write_deadline, now + WRITE_SECONDS)
        elif now >= self._deadline and self.is_waiting_for_client():
            if self._part is not _NONE:
                _LOG.info("client too slow", address=peer_address(self.client))
            self.transport.close()

    def _send_probe(self) -> None:
        """Find out whether a client that sends no more still reads.

        A client that has disconnected and one that has only closed its sending half look alike, but
        the former replies to the next byte with a reset. An interim response (RFC 9110 section
        15.2) may precede any response.
        """
        exchange = self._running_exchange
        if exchange is None or exchange.response_started or isinstance(exchange, Http10Exchange):
            return
        self.transport.write(b"HTTP/1.1 102 Processing\r\n\r\n")

    def shutdown(self) -> None:
        """Close after the exchanges that have begun, or soon if there are none."""
        if not self._has_answered_all():
            self.cycle.keep_alive = False
        elif self._part is _NONE:
            self._deadline = min(self._deadline, self.loop.time() + LAST_SECONDS)

    def pause_writing(self) -> None:
        """Start the deadline for a client that reads too slowly."""
        super().pause_writing()
        self._write_deadline = self.loop.time() + WRITE_SECONDS
        self._limits.set_unread(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Stop the deadline: the client has read most of the response."""
        super().resume_writing()
        self._write_deadline = math.inf
        self._limits.clear_unread(self)

    # Responding.

    def on_response_complete(self) -> None:
        """Begin the next exchange in the pipeline."""
        if (exchange := self._take_next_exchange()) is not None:
            self._run_application(exchange)

    def _take_next_exchange(self) -> Exchange | None:
        """Return the next exchange of the pipeline; if there is none, wait for a request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return None
        self.flow.resume_reading()
        if self.pipeline:
            if self._part is _BODY:
                self._set_deadline(BODY_SECONDS)
            exchange, _ = self.pipeline.pop()
            return cast("Exchange", exchange)
        if self._is_input_closed:
            self._set_deadline(LINGER_SECONDS)
        elif self._part is _NONE:
            self._set_deadline(IDLE_SECONDS)
        return None

    def _run_application(self, exchange: Exchange) -> None:
        """Run the application for an exchange."""
        exchange.begin()
        self._running_exchange = exchange
        self._start_asgi_task(exchange, self.app)

    def _reject(self, reason: str) -> None:
        """Answer the current request with a problem, after those before it, and close."""
        self._is_input_closed = True
        if self._part is _BODY:
            if self.cycle.response_started:
                self._stop_reading()
                return
            self._cancel_exchange()
        is_next = self._has_answered_all() or self.cycle.disconnected
        self._part = _NONE
        # No route has the path "-", so the application answers with the error in the scope.
        scope = self._create_scope("-", b"", "1.1", [])
        scope[REFUSED] = InvalidInput(reason)
        self.cycle = Exchange(self, scope)
        self.cycle.transport = lingering(self.transport)
        self.cycle.more_body = False
        if is_next:
            self._next_exchange = self.cycle
        else:
            self.pipeline.appendleft((self.cycle, self.app))

    def _cancel_exchange(self) -> None:
        """Drop the exchange whose body is malformed or incomplete."""
        if self.pipeline:
            self.pipeline.popleft()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _stop_reading(self) -> None:
        """Ignore further input, and close after the current response."""
        self._is_input_closed = True
        self._part = _NONE
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
