"""Types of settings, and the checks of single values. Each error says what to write."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator

from app.database_url import PostgresUrl, is_postgres, parse_sqlite_url
from app.domain.addresses import Network, parse_network
from app.domain.credentials import RawAccessKey
from app.domain.errors import InvalidUsername
from app.domain.names import ReservedNames
from app.domain.text import Pattern

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = Pattern(r"\s*(?P<number>[0-9]{1,9})(?P<unit>[smhdw]?)\s*", 64)
_VISIBLE = Pattern(r"[!-~]{1,4096}", 4096)
_REDIS_OPTIONS = (
    "db",
    "ssl_ca_certs",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
)


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _parse_networks(values: Any) -> Any:
    return [parse_network(part, strict=False) for part in _split_commas(values)]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _check_token(value: str | None) -> str | None:
    if value is not None and _VISIBLE.fullmatch(value) is None:
        raise ValueError("a token must have 1 to 4096 printable ASCII characters, without spaces")
    return value


def _check_service_url(value: str, example: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(value)
        is_plain = not (set("?#@\\") & set(value)) and value.isascii() and value.isprintable()
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and is_plain:
            return value
    raise ValueError(
        f"the URL must have the form {example}, without credentials, query and fragment"
    )


CommaSeparated = BeforeValidator(_split_commas)
Networks = BeforeValidator(_parse_networks)
LowerCase = BeforeValidator(_lower)
Token = AfterValidator(_check_token)


def service_url(example: str) -> AfterValidator:
    """Return the check of a URL such as `example`."""
    return AfterValidator(lambda url: url and _check_service_url(url, example))


def duration(shortest: str, longest: str) -> BeforeValidator:
    """Return the parser of a duration between two others, in seconds."""
    lowest, highest = _parse_duration(shortest), _parse_duration(longest)

    def parse(value: Any) -> int:
        seconds = _parse_duration(value)
        if not lowest <= seconds <= highest:
            raise ValueError(f"the duration must be from {shortest} to {longest}")
        return seconds

    return BeforeValidator(parse)


def describe_wide_networks(
    trusted: Iterable[Network], exempt: Iterable[Network], *, has_untrusted_proxy: bool
) -> list[str]:
    """Return a sentence for each network of these settings that lifts the limits of everyone."""
    proxies, limits = "GATEHOUSE_TRUSTED_PROXIES", "GATEHOUSE_RATE_LIMIT_EXEMPT"
    return [
        *(
            f"{proxies} has {network}: any client can claim any address, and evade each limit by "
            "address. List only the addresses of your proxies."
            for network in trusted
            if network.prefixlen == 0
        ),
        *(
            f"{limits} has {network}: no client is limited by address. List only networks of "
            "clients that you know."
            for network in exempt
            if network.prefixlen == 0
        ),
        *(
            f"{limits} has {network}, the address of your proxy, which is not trusted: none of its "
            f"clients is limited by address. Set {proxies}."
            for network in exempt
            if has_untrusted_proxy and network.is_loopback
        ),
    ]


def _parse_duration(value: Any) -> int:
    """Return the seconds of a text such as `90`, `30s`, `15m`, `12h`, `7d` or `2w`."""
    if type(value) is int:
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            "a duration is a number of seconds, or a number with the unit s, m, h, d or w, such as "
            "12h or 7d"
        )
    return int(found["number"]) * _SECONDS[found["unit"]]


def check_database_url(url: str | None) -> str | None:
    """Return the URL of a database. Raises ValueError."""
    if url is not None:
        PostgresUrl.parse(url) if is_postgres(url) else parse_sqlite_url(url)
    return url


def check_redis_url(url: str | None) -> str | None:
    """Return the URL of a Redis. Raises ValueError."""
    if url is not None and not _is_redis_url(url):
        raise ValueError(
            "a Redis URL has the form redis://HOST:PORT/NUMBER, rediss:// with TLS, or "
            f"unix:///SOCKET; the parameters are {', '.join(_REDIS_OPTIONS)}"
        )
    return url


def _is_redis_url(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        if not options.keys() <= set(_REDIS_OPTIONS) or not options.get("db", "0").isdecimal():
            return False
        if parts.scheme == "unix":
            return parts.hostname is None and len(parts.path) > 1
        number = parts.path.removeprefix("/")
        named = parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0
        return bool(named and (number.isdecimal() or not number) and not parts.fragment)
    return False


def check_reserved_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that can be reserved. Raises ValueError."""
    try:
        ReservedNames.from_config(names)
    except InvalidUsername as error:
        raise ValueError(error.detail) from None
    return names


def check_admin_key(text: str | None) -> str | None:
    """Return an access key that is well-formed and not published. Raises ValueError."""
    if text is None:
        return None
    key = RawAccessKey.parse(text)
    if key is None:
        raise ValueError(
            "an access key consists of letters and digits in groups of 8, 4, 4, 4 and 8, "
            "separated by '-'"
        )
    if key.is_published:
        raise ValueError("this key is an example of the documentation; generate your own")
    return text
