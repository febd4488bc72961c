"""Peers that forward requests, but are no trusted proxies.

Their headers are ignored, so all clients of such a proxy have its address, and share its limits.
"""

from collections.abc import Iterator, Sequence

import structlog
from starlette.types import Scope

from app.domain.addresses import Network
from app.domain.measurements import Measurement
from app.http.client_address import ClientAddress, peer_address

# Peers that are logged; a client can send the headers, too, from any number of addresses.
LOGGED_MAX = 100
_SETTING = "GATEHOUSE_TRUSTED_PROXIES"
_HEADERS = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})
_LOG = structlog.get_logger("gatehouse.http")


class UntrustedProxies:
    """Counts requests that such peers forward, and logs each peer once, with the setting."""

    def __init__(self, clients: ClientAddress, trusted: Sequence[Network]) -> None:
        self._clients = clients
        self._trusted = [str(network) for network in trusted]
        self._logged: set[str] = set()
        self._count = 0

    def measurements(self) -> Iterator[Measurement]:
        """Count the requests."""
        about = "Requests with a client's address from a peer that is no trusted proxy."
        yield Measurement("untrusted_forwards", about, self._count, is_total=True)

    def examine(self, scope: Scope) -> None:
        """Count a request that has such a header from a peer that is not trusted."""
        for name, _ in scope["headers"]:
            if name in _HEADERS and not self._clients.is_trusted_peer(scope.get("client")):
                self._count += 1
                self._log_once(peer_address(scope.get("client")), name.decode())
                return

    def _log_once(self, peer: str | None, header: str) -> None:
        if peer is None or peer in self._logged or len(self._logged) >= LOGGED_MAX:
            return
        self._logged.add(peer)
        _LOG.warning(
            "forwarding header of an untrusted peer ignored",
            peer=peer,
            header=header,
            setting=f"{_SETTING}={','.join([*self._trusted, peer])}",
            reason="If the peer is your proxy, use this setting: until then, all of its clients "
            "share one address and its rate limits. Otherwise nothing needs to be done.",
        )
