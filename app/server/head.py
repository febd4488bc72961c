"""The head of a request, where the parser of httptools accepts more than HTTP/1.1 allows."""

from app.domain.text import IGNORE_CASE, Pattern

# Well above our longest query; a token in a header has at most 4 KiB.
TARGET_MAX = 8 * 1024
HEAD_MAX = 32 * 1024
FIELDS_MAX = 100
TOO_LONG = (
    f"The request head is too long: the limits are {HEAD_MAX} bytes in total, {TARGET_MAX} bytes "
    f"for the target, and {FIELDS_MAX} fields."
)
_PARSED_MAX = 64 * 1024
# RFC 3986 section 3.2.2, with a port.
_HOST = Pattern(rb"[A-Za-z0-9._~!$&'()*+,;=%\[\]:-]*", _PARSED_MAX)
# RFC 9112 section 3.2.2; without a fragment.
_ABSOLUTE = Pattern(
    rb"(?P<scheme>https?)://(?P<host>[^/?#@]*)(?P<rest>[^#]*)", _PARSED_MAX, IGNORE_CASE
)
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}
# The fields that frame a body. If a request offers an upgrade (RFC 9110 section 7.8), llhttp takes
# what follows its head for the other protocol.
_FRAMING_FIELDS = {b"content-length", b"transfer-encoding", b"connection"}
# As numbers, because `bytes in bytes` first tries to convert the needle and drops an exception.
_SLASH, _HASH = b"/#"

Fields = list[tuple[bytes, bytes]]


class MalformedError(Exception):
    """A request that the parser accepts and we reject; the client gets the text."""


def head_without_upgrade(fields: Fields, version: str) -> bytes:
    """Return a head with the same framing if a body follows, else an empty string."""
    if not any(name == b"transfer-encoding" or _has_length(name, value) for name, value in fields):
        return b""
    kept = b"".join(b"%b: %b\r\n" % field for field in fields if field[0] in _FRAMING_FIELDS)
    return b"POST / HTTP/%b\r\n%b\r\n" % (version.encode(), kept)


def framing_fields(fields: Fields, version: str) -> tuple[list[bytes], bool, bool]:
    """Return the hosts, whether the body is chunked, and whether the client expects 100 Continue.

    Raises MalformedError for a transfer coding other than chunked in HTTP/1.1 (RFC 9112 section
    6.1).
    """
    hosts, is_chunked, expects = [], False, False
    for name, value in fields:
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or version == "1.0":
                raise MalformedError("The only supported transfer coding is chunked, in HTTP/1.1.")
            is_chunked = True
        elif name == b"expect":
            expects = expects or value.lower() == b"100-continue"
    return hosts, is_chunked, expects


def check_host(hosts: list[bytes], version: str) -> None:
    """Reject several hosts, none in HTTP/1.1, and an invalid one (RFC 9112 section 3.2)."""
    if len(hosts) != 1 and (hosts or version != "1.0"):
        raise MalformedError("A request must have exactly one Host header.")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise MalformedError("The Host header is not a valid host.")


def is_origin_form(target: bytes) -> bool:
    """Return whether the target is a path without a fragment, as in nearly all requests."""
    return target[0] == _SLASH and _HASH not in target


def check_target(target: bytes, fields: Fields, hosts: list[bytes]) -> tuple[bytes, Fields]:
    """Return another target in origin form, and the fields with its host. Raises MalformedError.

    The host of an absolute target counts; the Host header must name the same, in any case and with
    or without the default port of the scheme (RFC 9112 section 3.2.2).
    """
    if target == b"*":
        return target, fields
    parts = _ABSOLUTE.fullmatch(target)
    if parts is None or not parts["host"] or _HOST.fullmatch(parts["host"]) is None:
        raise MalformedError("The request target does not belong to this host.")
    port = _DEFAULT_PORTS[parts["scheme"].lower()]
    if any(_normalize_host(host, port) != _normalize_host(parts["host"], port) for host in hosts):
        raise MalformedError("The request target does not belong to this host.")
    others = [field for field in fields if field[0] != b"host"]
    rest: bytes = parts["rest"]
    path = rest if rest.startswith(b"/") else b"/" + rest
    return path, [(b"host", parts["host"]), *others]


def _normalize_host(host: bytes, default_port: bytes) -> bytes:
    return host.lower().removesuffix(b":" + default_port).removesuffix(b":")


def _has_length(name: bytes, value: bytes) -> bool:
    return name == b"content-length" and value.strip(b"0") != b""
