"""HTTP/1.1 on a socket: framed beyond doubt, within bounds, and in time.

The parser is httptools under uvicorn, and no other. What it refuses, and what is refused here
beside that, the application answers with a problem, in its turn; then the connection ends. Nobody
who was too slow is answered: he is hardly there to read it.
"""

import asyncio
import logging
import math
import re
import resource
import signal
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum, auto
from functools import cache
from time import monotonic
from types import FrameType
from typing import Any, cast
from urllib.parse import unquote

import httptools
import structlog
import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.domain.errors import InvalidInput
from app.wire.http import BODY_MAX, LEAVING, REFUSED

# Far more than the longest query of ours; a token in a header has at most 4 KiB.
TARGET_MAX = 8 * 1024
HEAD_MAX = 32 * 1024
FIELDS_MAX = 100
# One read from a socket could bring thousands of requests.
PIPELINE_MAX = 32
# Of a body that was refused, for a client that reads no answer before it has sent everything.
DRAINED_MAX = 16 * BODY_MAX

# The proxies of docs/examples let go of an idle connection before that.
IDLE_SECONDS = 5
HEAD_SECONDS = 10
BODY_SECONDS = 30
# For what is kept ready of an answer, about 64 KiB, while its client reads slowly.
WRITE_SECONDS = 60
# How long whoever was refused may go on sending, lest a reset overtakes his answer.
LINGER_SECONDS = 2
# Connections that wait in the system's queue at the end; it holds no more (app/serve.py).
_LET_IN_MAX = 2048
# From SIGTERM on: how long everything is still served, while /health/ready tells balancers to look
# elsewhere; and then, how long a request may still be under way to an open connection.
NOTICE_SECONDS = 2
LAST_SECONDS = 1
_TICK = 0.1

# Descriptors for everything but connections, and the most that are asked for.
_DESCRIPTORS_KEPT = 128
_DESCRIPTORS_MAX = 16 * 1024

_VERSIONS = ("1.1", "1.0")
# RFC 3986 section 3.2.2, and a port.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%\[\]:-]*")
# Takes in trailers and forgets them.
_NOWHERE = cast("list[tuple[bytes, bytes]]", deque[tuple[bytes, bytes]](maxlen=0))
# As numbers: to look for a piece of bytes in bytes makes and drops an exception first.
_SLASH, _HASH = b"/#"
_ASGI = {"version": "3.0", "spec_version": "2.3"}
# What a scope has of its own.
_OF_EACH = ("http_version", "method", "path", "raw_path", "query_string", "headers", "state")
# Of a request that offers to speak something else, httptools takes the body for what is spoken
# next, and so for another request.
_FRAMING = (b"content-length", b"transfer-encoding")
_NOT_HTTP = "This is not a request of HTTP/1.1."
_TOO_LONG = (
    f"The request's head is too long: it has at most {HEAD_MAX} bytes, {TARGET_MAX} of them in its "
    f"target, and {FIELDS_MAX} fields."
)
_TOO_LOOSE = "There is too much around the chunks of the body."
_LOG = structlog.get_logger("gatehouse.transport")


class Server(uvicorn.Server):
    """uvicorn's server; its tick looks after the connections, and it leaves in good order.

    SIGTERM comes where others have to learn of the end: for a while everything is served as before,
    but /health/ready, and each answer is its connection's last. SIGINT ends that at once. Then
    nobody is let in any more, and whoever is in is answered.
    """

    _leaves_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Give notice, or end."""
        if sig != signal.SIGTERM or not self.started:
            super().handle_exit(sig, frame)
        elif self._leaves_at == math.inf:
            self._captured_signals.append(sig)
            self.lifespan.state[LEAVING] = True
            self._leaves_at = monotonic() + NOTICE_SECONDS

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        if counter % 10 == 0:
            self.close_what_is_due(asyncio.get_running_loop().time())
        return await super().on_tick(counter) or monotonic() >= self._leaves_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let in who has come, nobody else, and answer everybody."""
        self.lifespan.state[LEAVING] = True
        await self._let_in(sockets or [])
        ticking = asyncio.create_task(self._tick())
        await super().shutdown(sockets)
        ticking.cancel()

    async def _let_in(self, listeners: Iterable[socket.socket]) -> None:
        """Take the connections that the system has made already, and would reset."""
        loop = asyncio.get_running_loop()
        for listener in listeners:
            # BlockingIOError where there is no more; any other where none can be taken.
            with suppress(OSError):
                for _ in range(_LET_IN_MAX):
                    made, _ = listener.accept()
                    await loop.connect_accepted_socket(self._protocol, made)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.close_what_is_due(asyncio.get_running_loop().time())

    def close_what_is_due(self, now: float) -> None:
        """Close the connections whose client has been waited for long enough."""
        for connection in list(self.server_state.connections):
            cast("Connection", connection).close_if_due(now)


class _MalformedError(Exception):
    """A request that the parser takes and we do not; its text is told the client."""


class Part(Enum):
    """A part of a request."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()


# To look a member up in its class takes longer.
_NONE, _HEAD, _BODY = Part


class Exchange(RequestResponseCycle):
    """A request and the answer to it.

    That of uvicorn, but made at a fraction of its cost: what only the application needs, which most
    requests never come to, is made when it begins.
    """

    logger = access_logger = logging.getLogger("uvicorn.error")
    access_log = False
    # Nobody waits for it before `begin`.
    message_event = asyncio.Event()
    disconnected = False
    more_body = True
    response_started = response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    keep_alive = waiting_for_100_continue = False

    def __init__(self, connection: "Connection", scope: Scope) -> None:
        self.scope = cast("Any", scope)
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.body = bytearray()

    def begin(self) -> None:
        """From now on, the application may wait for what comes in."""
        self.message_event = asyncio.Event()
        if self.body or not self.more_body:
            self.message_event.set()


class Connection(HttpToolsProtocol):
    """One client's connection.

    A look at all of them once a second costs less than timers for each request, so a connection
    only keeps until when it waits, in the loop's time; infinitely while it is not the client's
    turn.
    """

    cycle: Exchange
    # What the scopes of all its requests share.
    _every_scope: dict[str, Any]
    # What came in and is to be begun with, once all that was read is parsed.
    _next: Exchange | None = None
    # What the application is answering.
    _under_way: Exchange | None = None

    _due = math.inf
    _write_due = math.inf
    # Which part of a request is coming in, and which is waited for until `_due`.
    _part = _NONE
    _awaited = _NONE
    # What came in of the body, what of that was looked at, and how much came in without any.
    _content = 0
    _counted = 0
    _loose = 0
    # The size of the last read.
    _read = 0
    _host = b""
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come. Where there is no room, the one who is waited for longest goes."""
        super().connection_made(transport)
        self._every_scope = {
            "type": "http",
            "asgi": _ASGI,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            **dict.fromkeys(_OF_EACH),
        }
        self._due = self.loop.time() + HEAD_SECONDS
        if len(self.connections) > _room():
            others = cast("set[Connection]", self.connections)
            waiting = [other for other in others if other.waits_for_client()]
            min(waiting, key=lambda other: other._due).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; uvicorn tells that of the last request alone."""
        if self._under_way is not None and not self._under_way.response_complete:
            self._under_way.disconnected = True
            self._under_way.message_event.set()
        super().connection_lost(exc)

    # ------------------------------------------------------------------------ what comes in

    def data_received(self, data: bytes) -> None:
        """More of what the client sends."""
        if self._is_refused:
            return
        self._read = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The offer to speak something else is declined; what follows is HTTP/1.1 as before.
            self.data_received(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(str(reason) if isinstance(reason, _MalformedError) else _NOT_HTTP)
        else:
            if self._part is not _NONE:
                self._await_rest()
        begun, self._next = self._next, None
        while begun is not None and self._answer(begun):
            begun = self._turn()
        if begun is not None:
            self._begin(begun)

    def _answer(self, _exchange: Exchange) -> bool:
        """Whether the answer was ready and has been sent; else the application is asked."""
        return False

    def _await_rest(self) -> None:
        """Begin to wait for the rest of a head or body, or bound what does not come to its end."""
        if self._awaited is not self._part:
            self._awaited = self._part
            self._content = self._loose = self._counted = 0
            seconds = HEAD_SECONDS if self._part is _HEAD else BODY_SECONDS
            self._due = self.loop.time() + seconds
        elif self._content > self._counted:
            self._counted, self._loose = self._content, 0
            if self._content > DRAINED_MAX:
                self._hang_up()
        else:
            self._loose += self._read
            if self._loose > HEAD_MAX:
                self._refuse(_TOO_LONG if self._part is _HEAD else _TOO_LOOSE)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.url = b""
        self.headers = []
        self._part = _HEAD
        self._awaited = _NONE

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of a trailer."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head of a request is whole: check it, and let it have its turn."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise _MalformedError("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        expects = self._check_head(version)
        self._part = _BODY
        method = self.parser.get_method().decode("ascii")
        exchange = Exchange(self, self._scope(method, self.url, version, self.headers))
        if expects:
            # Whether the body follows an answer that did not wait for it is anybody's guess.
            exchange.waiting_for_100_continue = True
        elif version != "1.0" and LEAVING not in self.app_state:
            exchange.keep_alive = self.parser.should_keep_alive()
        # A trailer is no header, whatever its name (RFC 9110 section 6.5.1).
        self.headers = _NOWHERE
        is_next = self._is_answered()
        self.cycle = exchange
        if is_next:
            self._next = exchange
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def _scope(
        self, method: str, target: bytes, version: str, headers: list[tuple[bytes, bytes]]
    ) -> Scope:
        """The request as ASGI has it."""
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        # To copy so large a dict costs a part of what it costs to make one.
        scope = self._every_scope.copy()
        scope["http_version"] = version
        scope["method"] = method
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        scope["headers"] = headers
        scope["state"] = self.app_state.copy()
        return scope

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._content += len(body)
        exchange = self.cycle
        if not exchange.response_complete:
            exchange.body += body
            if len(exchange.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            exchange.message_event.set()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._part = _NONE
        exchange = self.cycle
        if exchange.response_complete:
            self._due = self.loop.time() + IDLE_SECONDS
        else:
            exchange.more_body = False
            exchange.message_event.set()

    def _check_head(self, version: str) -> bool:
        """Whether the client waits to be asked for the body.

        Raises _MalformedError for what httptools lets pass (RFC 9112 sections 2.3, 3.2, 6.1).
        """
        hosts, expects = [], False
        for name, value in self.headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding":
                _check_coding(value, version)
            elif name == b"expect":
                expects = expects or value.lower() == b"100-continue"
        if len(self.headers) > FIELDS_MAX or len(self.url) > TARGET_MAX or self._is_too_long():
            raise _MalformedError(_TOO_LONG)
        if hosts != [self._host]:
            self._check_host(hosts, version)
        if self.url[0] != _SLASH or _HASH in self.url:
            self._check_target(hosts)
        if self.parser.should_upgrade() and any(name in _FRAMING for name, _ in self.headers):
            raise _MalformedError("A request with a body cannot offer another protocol.")
        if len(self.pipeline) >= PIPELINE_MAX:
            raise _MalformedError("Too many requests were sent without waiting for an answer.")
        return expects

    def _is_too_long(self) -> bool:
        if self._awaited is _NONE and self._read <= HEAD_MAX:
            return False
        size = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.url) + size > HEAD_MAX

    def _check_host(self, hosts: list[bytes], version: str) -> None:
        """Look at a host that is not that of the request before."""
        if len(hosts) != 1 and (hosts or version != "1.0"):
            raise _MalformedError("A request has exactly one header Host.")
        if hosts:
            if _HOST.fullmatch(hosts[0]) is None:
                raise _MalformedError("The header Host is not a host.")
            self._host = hosts[0]

    def _check_target(self, hosts: list[bytes]) -> None:
        """An absolute target (RFC 9112 section 3.2.2) names the host as the header does."""
        if self.url == b"*":
            return
        scheme, _, rest = self.url.partition(b"://")
        authority, slash, path = rest.partition(b"/")
        if (
            _HASH in self.url
            or scheme.lower() not in {b"http", b"https"}
            or hosts not in ([], [authority])
        ):
            raise _MalformedError("The request target is not one of this host.")
        self.url = slash + path or b"/"

    # --------------------------------------------------------------------------- whose turn

    def waits_for_client(self) -> bool:
        """Whether it is the client's turn."""
        if self._part is _BODY:
            return not (self.pipeline or self.flow.read_paused)
        return self._is_answered()

    def _is_answered(self) -> bool:
        """Whether there is an answer to every request whose head came in."""
        # Whatever its annotation says, there is no cycle before the first request.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def close_if_due(self, now: float) -> None:
        """Close a connection whose client sends too slowly, or does not take what is sent."""
        if now >= self._write_due:
            self.transport.abort()
        elif self.transport.is_closing():
            self._write_due = min(self._write_due, now + WRITE_SECONDS)
        elif now >= self._due and self.waits_for_client():
            if self._part is not _NONE:
                _LOG.info("a client was too slow", address=self.client and self.client[0])
            self.transport.close()

    def shutdown(self) -> None:
        """Answer what has come, and what is under way."""
        if not self._is_answered():
            self.cycle.keep_alive = False
        elif self._part is _NONE:
            self._due = min(self._due, self.loop.time() + LAST_SECONDS)

    def pause_writing(self) -> None:
        """The client takes less than is sent."""
        super().pause_writing()
        self._write_due = self.loop.time() + WRITE_SECONDS

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        super().resume_writing()
        self._write_due = math.inf

    # ------------------------------------------------------------------------ what goes out

    def on_response_complete(self) -> None:
        """The last byte of an answer of the application."""
        if (following := self._turn()) is not None:
            self._begin(following)

    def _turn(self) -> Exchange | None:
        """After an answer: what came in behind it; else another request is waited for."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return None
        self.flow.resume_reading()
        if self.pipeline:
            if self._part is _BODY:
                self._due = self.loop.time() + BODY_SECONDS
            following, _ = self.pipeline.pop()
            return cast("Exchange", following)
        if self._is_refused:
            self._due = self.loop.time() + LINGER_SECONDS
        elif self._part is _NONE:
            self._due = self.loop.time() + IDLE_SECONDS
        return None

    def _begin(self, exchange: Exchange) -> None:
        """Let the application answer."""
        exchange.begin()
        self._under_way = exchange
        self._start_asgi_task(exchange, self.app)

    def _refuse(self, reason: str) -> None:
        """Answer the request that is coming in with a problem, after those before it, and end."""
        self._is_refused = True
        if self._part is _BODY:
            if self.cycle.response_started:
                self._hang_up()
                return
            self._withdraw()
        is_next = self._is_answered() or self.cycle.disconnected
        self._part = _NONE
        # There is nothing at no path but this refusal.
        scope = self._scope("-", b"", _VERSIONS[0], [])
        scope[REFUSED] = InvalidInput(reason)
        self.cycle = Exchange(self, scope)
        self.cycle.transport = cast("asyncio.Transport", _Lingering(self.transport))
        self.cycle.more_body = False
        if is_next:
            self._next = self.cycle
        else:
            self.pipeline.appendleft((self.cycle, self.app))

    def _withdraw(self) -> None:
        """Let the application have nothing to do with the request whose body is at fault."""
        if self.pipeline:
            self.pipeline.popleft()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _hang_up(self) -> None:
        """Read no more, and close when what was begun is sent."""
        self._is_refused = True
        self._part = _NONE
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False


class _Lingering:
    """A transport whose close ends what is sent, and leaves it to the client to close the rest."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Say that there is no more to come."""
        if not self._transport.is_closing():
            self._transport.write_eof()


def _check_coding(value: bytes, version: str) -> None:
    if value.lower() != b"chunked" or version == "1.0":
        raise _MalformedError("The only transfer coding is chunked, in HTTP/1.1.")


@cache
def _room() -> int:
    """How many connections this process may hold: what the system lets it open, less a few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - _DESCRIPTORS_KEPT
