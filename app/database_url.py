"""Parser of `GATEHOUSE_DATABASE_URL`.

PostgreSQL URLs follow libpq (postgresql.org/docs/current/libpq-connect.html, 'Connection URIs' and
'Parameter Key Words'). No error and no `str()` contains a password.
"""

import os
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from app.domain.text import DOT_ALL, Pattern

SQLITE_FORM = "sqlite:///PATH or sqlite:////ABSOLUTE/PATH"
POSTGRES_FORM = "postgresql://USER:PASSWORD@HOST/NAME"
SCHEMES = ("postgresql://", "postgres://")

_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
# The accepted parameters; a tuple lists the accepted values. Gatehouse writes, so it needs a
# primary; its driver supports neither GSSAPI encryption nor channel binding.
_PARAMETERS: Mapping[str, tuple[str, ...] | None] = {
    "host": None,
    "port": None,
    "dbname": None,
    "user": None,
    "password": None,
    "passfile": None,
    "service": None,
    "connect_timeout": None,
    "target_session_attrs": ("any", "primary", "read-write"),
    "application_name": None,
    "options": None,
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslrootcert": None,
    "sslcert": None,
    "sslkey": None,
    "sslpassword": None,
    "sslcrl": None,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "client_encoding": ("auto", "UTF8", "UTF-8", "utf8", "utf-8"),
    "gssencmode": ("disable", "prefer"),
    "channel_binding": ("disable", "prefer"),
}
# For a URL or a file of parameters.
_URL_MAX = 128 * 1024
_ENCODE = f"{POSTGRES_FORM}; percent-encode characters such as @ : / ? % in a name or password"
# libpq: `-c name=value`, `-cname=value` and `--name=value`, separated by spaces; a backslash
# keeps the next character as it is.
_WORD = Pattern(r"(?:\\.|[^\s\\])+", _URL_MAX)
_OPTION = Pattern(r"(?:-c|--)(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.*)", _URL_MAX, DOT_ALL)
_ESCAPED = Pattern(r"\\(.)", _URL_MAX)
_CONTROL = Pattern(r"[\x00-\x1f\x7f]", _URL_MAX)
_SECONDS, _PORT = Pattern(r"[0-9]{1,6}", 6), Pattern(r"[0-9]{0,5}", 5)
_LITERAL = Pattern(r"\[(?P<host>[^\]]*)\](?::(?P<port>.*))?", _URL_MAX)
_NAME = Pattern(r"[a-z_]{1,40}", 40)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """Connection parameters of a PostgreSQL database, named as in libpq."""

    parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "PostgresUrl":
        """Parse the URL, and the service file it refers to. Raises ValueError."""
        scheme = next((s for s in SCHEMES if text.startswith(s)), None)
        if scheme is None or _CONTROL.search(text):
            raise ValueError(f"a PostgreSQL URL has the form {POSTGRES_FORM}")
        parameters = {
            name: value for name, value in _parse_pairs(text.removeprefix(scheme)) if value
        }
        if service := parameters.get("service"):
            parameters = {**_read_service(service), **parameters}
        url = cls(parameters)
        url._require_valid()
        return url

    def _require_valid(self) -> None:
        for name, value in self.parameters.items():
            if name not in _PARAMETERS:
                known = ", ".join(_PARAMETERS)
                raise ValueError(f"'{name}' is not a supported parameter; those are {known}")
            allowed = _PARAMETERS[name]
            if allowed is not None and value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}")
        if "dbname" not in self.parameters:
            raise ValueError(f"a PostgreSQL URL has the form {_ENCODE}")
        if _SECONDS.fullmatch(self.parameters.get("connect_timeout", "0")) is None:
            raise ValueError("connect_timeout must be a number of seconds")
        is_system = self.parameters.get("sslrootcert") == "system"
        if is_system and self.sslmode not in {None, "verify-full"}:
            raise ValueError("sslrootcert=system requires sslmode=verify-full")
        # These raise ValueError for malformed values.
        _ = self.addresses, self.options

    @property
    def addresses(self) -> list[tuple[str | None, int]]:
        """Hosts or folders of Unix sockets with their ports; (None, port) for the default host."""
        hosts = self.parameters.get("host", "").split(",")
        ports = self.parameters.get("port", "").split(",")
        if len(ports) == 1:
            ports *= len(hosts)
        if len(ports) != len(hosts):
            raise ValueError("there must be one port, or one for each host")
        if len(hosts) > 1 and not all(hosts):
            raise ValueError("each of several hosts must have a name")
        if not all(_PORT.fullmatch(port) for port in ports):
            raise ValueError(f"a port must be a number; {_ENCODE}")
        numbers = [int(port or 5432) for port in ports]
        if not all(0 < number < 65536 for number in numbers):
            raise ValueError("a port must be from 1 to 65535")
        return [(host or None, number) for host, number in zip(hosts, numbers, strict=True)]

    @property
    def options(self) -> dict[str, str]:
        """Settings of the server in `options`."""
        words = iter(_ESCAPED.sub(r"\1", word) for word in _WORD.findall(self._get("options")))
        settings: dict[str, str] = {}
        for word in words:
            found = _OPTION.fullmatch(word + next(words, "") if word == "-c" else word)
            if found is None:
                raise ValueError("options must contain settings of the server as -c NAME=VALUE")
            settings[found["name"].replace("-", "_")] = found["value"]
        return settings

    @property
    def sslmode(self) -> str | None:
        """TLS mode; None for the default."""
        return self.parameters.get("sslmode")

    @property
    def has_password(self) -> bool:
        """True if the URL has the password of the user or of a key."""
        return bool(self._get("password") or self._get("sslpassword"))

    def _get(self, name: str) -> str:
        return self.parameters.get(name, "")

    def __str__(self) -> str:
        user = quote(self._get("user"), safe="")
        secret = ":***" if self._get("password") else ""
        addresses = [(host or "", port) for host, port in self.addresses]
        name = quote(self._get("dbname"), safe="")
        if any(host.startswith("/") for host, _ in addresses):
            hosts, query = "", f"?host={','.join(host for host, _ in addresses)}"
        else:
            hosts, query = ",".join(_format_address(host, port) for host, port in addresses), ""
        return f"postgresql://{user}{secret}{'@' if user or secret else ''}{hosts}/{name}{query}"


def _format_address(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == 5432 else f"{shown}:{port}"


def _parse_pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters in their order; a later one overrides an earlier one."""
    authority, slash, rest = text.partition("/")
    # As in libpq: if there is an '@' before the first '/', user and password come first and may
    # contain any other character, such as '?' and '#'.
    credentials, _, hosts = authority.rpartition("@")
    hosts, question, query = hosts.partition("?")
    if question:
        name, query = "", f"{query}{slash}{rest}"
    else:
        name, _, query = rest.partition("?")
    user, _, password = credentials.partition(":")
    yield "user", _decode(user)
    yield "password", _decode(password)
    specs = [_split_host_and_port(spec) for spec in hosts.split(",")]
    yield "host", _decode(",".join(host for host, _ in specs))
    ports = ",".join(port for _, port in specs)
    yield "port", _decode(ports) if ports.strip(",") else ""
    yield "dbname", _decode(name)
    yield from _parse_query(query)


def _split_host_and_port(spec: str) -> tuple[str, str]:
    literal = _LITERAL.fullmatch(spec)
    if literal is not None:
        return literal["host"], literal["port"] or ""
    host, _, port = spec.partition(":")
    return host, port


def _parse_query(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        name, value = _decode(name), _decode(value)
        if (name, value) == ("ssl", "true"):
            # JDBC's form, which libpq accepts.
            name, value = "sslmode", "require"
        # Anything else may be part of a password that was not percent-encoded.
        is_name = equals and _NAME.fullmatch(name)
        if not is_name or (name not in _PARAMETERS and "@" in query):
            raise ValueError(f"after '?' follow parameters, NAME=VALUE separated by '&': {_ENCODE}")
        yield name, value


def _decode(text: str) -> str:
    with suppress(UnicodeDecodeError):
        decoded = unquote(text, errors="strict")
        if _CONTROL.search(decoded) is None:
            return decoded
    raise ValueError("percent-encoded text must be UTF-8 without control characters")


def _read_service(name: str) -> dict[str, str]:
    """Return the parameters of a service from the connection service file. Raises ValueError."""
    named = os.environ.get("PGSERVICEFILE")
    system = os.environ.get("PGSYSCONFDIR")
    files = [Path(named) if named else Path("~/.pg_service.conf")]
    files += [Path(system, "pg_service.conf")] if system else []
    for file in files:
        parser = ConfigParser(interpolation=None, delimiters=["="], comment_prefixes=["#"])
        with suppress(OSError, ConfigParserError, UnicodeDecodeError, RuntimeError):
            parser.read_string(file.expanduser().read_text("utf-8"))
            if parser.has_section(name):
                return dict(parser.items(name))
    raise ValueError(
        f"no service '{name}' in {' or '.join(str(file) for file in files)} (PGSERVICEFILE)"
    )


def is_postgres(url: str) -> bool:
    """Return whether the URL is one of PostgreSQL."""
    return url.startswith(("postgresql:", "postgres:"))


def parse_sqlite_url(url: str) -> Path:
    """Return the path of the file that an SQLite URL names. Raises ValueError."""
    scheme, _, path = url.partition("://")
    is_path = path.startswith("/") and path not in {"/", "/:memory:"} and "?" not in path
    if scheme != "sqlite" or not is_path:
        raise ValueError(f"a database URL has the form {SQLITE_FORM} or {POSTGRES_FORM}")
    return Path(unquote(path[1:]))
