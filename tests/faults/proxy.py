"""A TCP proxy before a server, that can be cut, stalled, shut and opened again."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Event, Lock, Thread

_RESET = struct.pack("ii", 1, 0)
COMMIT = b"COMMIT"


class Commits(Enum):
    """The fate of a COMMIT."""

    PASS = auto()
    # The connection is cut before the server has it.
    UNSENT = auto()
    # The connection is cut when the server has done it, before the client knows.
    UNANSWERED = auto()


@dataclass(eq=False)
class _Pair:
    """One client's connection and the one to the server."""

    client: socket.socket
    server: socket.socket
    forgotten: bool = False
    awaits_commit: bool = False

    def cut(self) -> None:
        """Reset the client's; what the server has got it works off."""
        with suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass
class Proxy:
    """Passes on what comes, as long as nothing else is asked of it."""

    target: tuple[str, int]
    port: int = 0
    commits: Commits = Commits.PASS
    # How many were cut.
    cut_commits: int = 0
    _pairs: set[_Pair] = field(default_factory=set)
    _flows: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _listener: socket.socket | None = None

    def open(self) -> None:
        """Take connections, at the port that it had before."""
        self._flows.set()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        Thread(target=self._accept, args=[listener], daemon=True).start()

    def shut(self) -> None:
        """Take no more connections, and cut those that there are."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections; new ones are welcome."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            pair.cut()

    def stall(self) -> None:
        """Pass on nothing, and let connections be made that lead nowhere."""
        self._flows.clear()

    def go_on(self) -> None:
        """Pass on what has waited."""
        self._flows.set()

    def forget(self) -> None:
        """Stall the present connections forever; serve new ones."""
        with self._lock:
            for pair in self._pairs:
                pair.forgotten = True

    @contextmanager
    def cutting(self, commits: Commits) -> Iterator[None]:
        """Treat every COMMIT like that."""
        self.commits, self.cut_commits = commits, 0
        try:
            yield
        finally:
            self.commits = Commits.PASS

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            server = socket.create_connection(self.target, 10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(client, server)
        with self._lock:
            self._pairs.add(pair)
        Thread(target=self._pump, args=[pair, server, client], daemon=True).start()
        self._pump(pair, client, server)

    def _pump(self, pair: _Pair, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if pair.forgotten:
                    continue
                if source is pair.client and COMMIT in data and self.commits is not Commits.PASS:
                    pair.awaits_commit = True
                    self.cut_commits += 1
                    if self.commits is Commits.UNSENT:
                        break
                elif source is pair.server and pair.awaits_commit:
                    break
                target.sendall(data)
        if not pair.forgotten:
            pair.cut()
            with self._lock:
                self._pairs.discard(pair)


@contextmanager
def proxy_before(host: str, port: int) -> Iterator[Proxy]:
    """An open proxy on a free port."""
    proxy = Proxy((host, port))
    proxy.open()
    try:
        yield proxy
    finally:
        proxy.go_on()
        proxy.shut()
