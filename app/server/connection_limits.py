"""Limits on the connections of a process, and which of them is closed when one is exceeded."""

import resource
from collections import defaultdict
from collections.abc import Collection
from functools import cache
from typing import Protocol

from uvicorn.server import ServerState

from app.runtime.bounded_map import BoundedMap

# File descriptors for everything except connections, and the highest limit that is requested.
_DESCRIPTORS_RESERVED = 128
_DESCRIPTORS_MAX = 16 * 1024
# Connections per IPv4 address or IPv6 /64; trusted proxies and Unix sockets have no such limit.
PER_NETWORK_MAX = 512
# Response bytes, of all connections together, that their clients have not read.
UNREAD_MAX = 128 * 1024 * 1024
# Bytes of incomplete bodies, of all connections together.
PARTIAL_BODIES_MAX = 128 * 1024 * 1024


class LimitedConnection(Protocol):
    """A connection that `ConnectionLimits` may close."""

    def waiting_since(self) -> float | None:
        """Return since when the server waits for the client; None if it does not."""

    def abort(self) -> None:
        """Close the connection immediately."""


class ConnectionLimits:
    """The connections of a process.

    If there is one too many, the connection that has waited longest for its client is closed: of
    those of the same network, or of all. That may be the new one.
    """

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._all: set[LimitedConnection] = set()
        self._by_network: defaultdict[str, set[LimitedConnection]] = defaultdict(set)
        # In the order in which their clients stopped reading.
        self._unread = BoundedMap[LimitedConnection, int](UNREAD_MAX, _bytes)
        # In the order in which their bodies began.
        self._partial_bodies: BoundedMap[LimitedConnection, int] = BoundedMap(
            PARTIAL_BODIES_MAX, _bytes
        )

    def add_connection(self, connection: LimitedConnection, network: str | None) -> None:
        """Add a connection; `network` is None if it has no limit of its own."""
        self._all.add(connection)
        if network is not None:
            self._by_network[network].add(connection)
        if network is not None and len(self._by_network[network]) > PER_NETWORK_MAX:
            _close_longest_waiting(self._by_network[network])
        elif len(self._all) > self._connections_max:
            _close_longest_waiting(self._all)

    def remove_connection(self, connection: LimitedConnection, network: str | None) -> None:
        """Remove a connection."""
        self._all.discard(connection)
        self.clear_unread(connection)
        self.remove_partial_body(connection)
        if network is not None:
            of_network = self._by_network[network]
            of_network.discard(connection)
            if not of_network:
                del self._by_network[network]

    def set_unread(self, connection: LimitedConnection, size: int) -> None:
        """Set the unread response bytes of a connection; close the oldest above the limit."""
        self.clear_unread(connection)
        for oldest in self._unread.put(connection, size):
            oldest.abort()

    def clear_unread(self, connection: LimitedConnection) -> None:
        """Remove the unread bytes of a connection."""
        self._unread.pop(connection)

    def add_partial_body(self, connection: LimitedConnection, size: int) -> None:
        """Add bytes of an incomplete body; close the oldest connections above the limit."""
        so_far = self._partial_bodies.get(connection) or 0
        for oldest in self._partial_bodies.put(connection, so_far + size):
            oldest.abort()

    def remove_partial_body(self, connection: LimitedConnection) -> None:
        """Remove the bytes of a body that is complete or dropped."""
        self._partial_bodies.pop(connection)


def _bytes(size: int) -> int:
    return size


def _close_longest_waiting(connections: Collection[LimitedConnection]) -> None:
    since = {connection: connection.waiting_since() for connection in connections}
    waiting = {connection: start for connection, start in since.items() if start is not None}
    if waiting:
        min(waiting, key=lambda connection: waiting[connection]).abort()


@cache
def raise_connection_limit() -> int:
    """Raise the limit of open files, and return how many connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - _DESCRIPTORS_RESERVED


def limits_of(state: ServerState) -> ConnectionLimits:
    """Return the connection limits of a server."""
    limits = getattr(state, "connection_limits", None)
    if limits is None:
        limits = ConnectionLimits(raise_connection_limit())
        vars(state)["connection_limits"] = limits
    return limits
