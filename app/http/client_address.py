"""The client's address, from the peer and the headers of trusted proxies.

The address is a canonical text (see `app.domain.addresses`), or None if unknown. Rate limits,
sessions, the audit log, the networks of access keys, `/metrics` and log lines all use this one.
An unknown address is in no network, and all unknown clients share one count.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from starlette.types import Scope

from app.domain.addresses import ADDRESS_MAX, Network, parse_address
from app.domain.text import ASCII, DOT_ALL, VERBOSE, Pattern

# Headers that any proxy adds, trusted or not.
_SIGNS = frozenset(
    {b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip"}
)
_SIGNS_BEGIN = b"x-forwarded-"
_FORWARDED = b"forwarded"
_X_FORWARDED_FOR = b"x-forwarded-for"
# The maximum size of a request's head.
_LINE_MAX = 64 * 1024
# RFC 7239 section 6: node, an address with an optional port.
_NODE = Pattern(
    r"(?:(?P<v4>[0-9.]{7,15})|\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?)\])"
    r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?",
    max_length=128,
    flags=ASCII,
)
# RFC 7239 section 4: token "=" ( token / quoted-string ), and the delimiter.
_PAIR = Pattern(
    r"""[ \t]*+(?:
        (?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)=
        (?:(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]++)
        |"(?P<quoted>(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+)")
    )?+[ \t]*+(?P<end>[;,]|\Z)""",
    max_length=_LINE_MAX,
    flags=VERBOSE | ASCII,
)
_ESCAPE = Pattern(r"\\(.)", _LINE_MAX, DOT_ALL)
# No chain of proxies is longer; further hops are ignored.
_HOPS_MAX = 64
_PAIRS_MAX = 4 * _HOPS_MAX


class ClientAddress:
    """Find the address of a request's client.

    The headers of `trusted_proxies` count. With `forwarded` they send `Forwarded` (RFC
    7239), otherwise `X-Forwarded-For`; no address is read from the other header.
    """

    def __init__(self, trusted_proxies: Sequence[Network] = (), *, forwarded: bool = False) -> None:
        self._networks = tuple(trusted_proxies)
        self._header = _FORWARDED if forwarded else _X_FORWARDED_FOR
        self._other = _X_FORWARDED_FOR if forwarded else _FORWARDED
        self._hops: Callable[[str], Iterator[str | None]] = (
            _forwarded_hops if forwarded else _x_forwarded_for_hops
        )
        # The same few proxies and clients connect repeatedly.
        self._parse = lru_cache(maxsize=4096)(self._parse_uncached)

    def find(self, scope: Scope) -> tuple[str | None, bool]:
        """Return the client's address, and whether its peer is a trusted proxy.

        The client is the nearest hop that is not a trusted proxy, since anyone may invent the hops
        behind it. A malformed hop ends the search: the address is unknown, never the
        proxy's. So does the other header if the configured one is missing: the proxy
        forwarded a client that it did not name as configured.
        """
        client = scope.get("client")
        peer, is_trusted = self._peer(client)
        if not is_trusted:
            return peer, False
        lines = [value for name, value in scope["headers"] if name == self._header]
        if not lines:
            is_passed_on = any(name == self._other for name, _ in scope["headers"])
            return None if is_passed_on else peer, True
        return self._nearest(lines), True

    def is_trusted_peer(self, client: Sequence[object] | None) -> bool:
        """Return whether a connection's other end is a trusted proxy."""
        return self._peer(client)[1]

    def _peer(self, client: Sequence[object] | None) -> tuple[str | None, bool]:
        """Return the address of a connection's other end, and whether it is a trusted proxy."""
        host = client[0] if client else None
        return self._look_up(host if isinstance(host, str) else None)

    def _nearest(self, lines: Sequence[bytes]) -> str | None:
        address: str | None = None
        for line in reversed(lines):
            for hop in self._hops(line.decode("latin-1")):
                address, is_trusted = self._look_up(hop)
                if not is_trusted:
                    return address
        return address

    def _look_up(self, text: str | None) -> tuple[str | None, bool]:
        """Return the address in its canonical form, and whether it is a trusted proxy."""
        is_short = text is not None and len(text) <= ADDRESS_MAX
        return self._parse(text) if is_short else (None, False)

    def _parse_uncached(self, text: str) -> tuple[str | None, bool]:
        address = parse_address(text)
        if address is None:
            return None, False
        is_trusted = any(address in network for network in self._networks)
        # IPv4 has only one form, and formatting it costs more than parsing it.
        return str(address) if ":" in text else text, is_trusted


def peer_address(client: Sequence[object] | None) -> str | None:
    """Return the address of a connection's other end; None for a Unix socket, which has none."""
    host = client[0] if client else None
    address = parse_address(host) if isinstance(host, str) else None
    return None if address is None else str(address)


def is_loopback(scope: Scope, address: str | None) -> bool:
    """Return whether the client at `address` is a program on this machine.

    An untrusted peer on this machine that forwards a request is a proxy, not the client.
    """
    parsed = parse_address(address)
    if parsed is None or not parsed.is_loopback:
        return False
    is_peer = address == peer_address(scope.get("client"))
    return not (is_peer and any(_is_sign(name) for name, _ in scope["headers"]))


def _is_sign(name: bytes) -> bool:
    return name in _SIGNS or name.startswith(_SIGNS_BEGIN)


def _x_forwarded_for_hops(line: str) -> Iterator[str | None]:
    """Yield the texts of the hops, the nearest first.

    Each is a plain address, or a node as in `Forwarded`: several proxies add the port.
    """
    for hop in reversed(line.rsplit(",", _HOPS_MAX)):
        text = hop.strip(" \t")
        yield (_node(text) or text) if ":" in text else text


def _forwarded_hops(line: str) -> Iterator[str | None]:
    """Yield the texts of `for`, the nearest first; None for an element without one.

    Text after a syntax error is ambiguous, so a malformed line is a single malformed hop.
    """
    if line.count(",") + line.count(";") > _PAIRS_MAX:
        yield None
        return
    hops: list[str | None] = []
    element: dict[str, str] = {}
    at, end = 0, ","
    while end:
        pair = _PAIR.match(line, at)
        if pair is None or (name := (pair["name"] or "").lower()) in element:
            yield None
            return
        if name:
            element[name] = pair["token"] or _ESCAPE.sub(r"\1", pair["quoted"] or "")
        at, end = pair.end(), pair["end"]
        if end != ";":
            hops.append(_node(element.get("for", "")))
            element = {}
    yield from reversed(hops)


def _node(text: str) -> str | None:
    """Return the address in a node without its port and, in IPv6, its brackets."""
    node = _NODE.fullmatch(text)
    return None if node is None else node["v4"] or node["v6"]
