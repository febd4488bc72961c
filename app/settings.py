"""Settings from environment variables and `.env`, with the prefix `GATEHOUSE_`.

Only the packages that assemble and run the process read them; the others get what they need.
"""

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from app.database_url import PostgresUrl, is_postgres, parse_sqlite_url
from app.domain.addresses import Network, parse_network
from app.domain.credentials import RawAccessKey
from app.domain.errors import InvalidUsername
from app.domain.names import ReservedNames
from app.domain.rules import Rules
from app.domain.text import Pattern
from app.domain.web_origins import require_web_origin
from app.environment import PREFIX, SettingsError, read_settings
from app.http.public_url import base_path_of, parse_public_url

DATABASE_NAME = "gatehouse.sqlite3"


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
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


_VISIBLE = Pattern(r"[!-~]{1,4096}", 4096)


def _check_token(value: str | None) -> str | None:
    if value is not None and _VISIBLE.fullmatch(value) is None:
        raise ValueError("a token must have 1 to 4096 printable ASCII characters, without spaces")
    return value


def _parse_networks(values: Any) -> Any:
    return [parse_network(part, strict=False) for part in _split_commas(values)]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


CommaSeparated = BeforeValidator(_split_commas)
Token = Annotated[str | None, AfterValidator(_check_token)]


class Settings(BaseModel):
    """Settings of this gateway. An invalid value stops the start."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: Annotated[
        str | None,
        Field(
            repr=False,
            description="`sqlite:///relative/path`, `sqlite:////absolute/path` or "
            "`postgresql://user:password@host/name`, with [libpq's parameters]"
            "(postgresql.md); by default a file in the data directory.",
        ),
    ] = None
    data_dir: Annotated[
        Path,
        Field(
            description="The data directory, which contains the database and the signing key. "
            "Created with mode 0700; relative to the working directory."
        ),
    ] = Path("var")
    redis_url: Annotated[
        str | None,
        Field(
            repr=False,
            description="`redis://user:password@host:6379/0`, `rediss:` with TLS (your own "
            "CA: `?ssl_ca_certs=FILE`), or `unix:///run/redis.sock?db=0`. In Redis, the workers of "
            "all machines share the counters of the rate limits; without it, each worker allows "
            "its share.",
        ),
    ] = None
    host: Annotated[str, Field(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="The port to listen on; 0 selects a free one.")
    ] = 8000
    public_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and parse_public_url(url)),
        Field(
            description="The URL that clients use, such as `https://id.example.com` or "
            "`https://example.com/id` ([behind a proxy](proxies.md#below-a-path)); with "
            "https, responses carry HSTS."
        ),
    ] = None
    workers: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="The number of processes that serve, for example one per core.",
        ),
    ] = 1
    token_ttl: Annotated[
        int,
        Field(
            ge=60,
            le=90 * 86400,
            description="The lifetime of a token in seconds; at most 90 days.",
        ),
    ] = 7 * 86400
    registration: Annotated[
        Literal["open", "closed"],
        Field(description="`open`: anyone may register; `closed`: only admins create accounts."),
    ] = "open"
    reserved_names: Annotated[
        tuple[str, ...],
        CommaSeparated,
        Field(description="Additional names, separated by commas, that only admins may assign."),
    ] = ()
    name_hold_days: Annotated[
        int,
        Field(
            ge=0,
            le=36500,
            description="For how many days the former name of a renamed account is reserved.",
        ),
    ] = 30
    rate_limits: Annotated[
        Literal["on", "off"],
        Field(
            description="`off` disables the limits by address and the locks of accounts after "
            "wrong passwords."
        ),
    ] = "on"
    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(require_web_origin)], ...],
        CommaSeparated,
        Field(
            description="Origins, separated by commas, whose pages may call the gateway, exactly "
            "as browsers send them: `https://chat.example.com`, or `capacitor://localhost` for an "
            "app. The log names each origin that is refused."
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        BeforeValidator(_parse_networks),
        Field(
            description="Networks, separated by commas, whose `X-Forwarded-For` and "
            "`X-Request-ID` are trusted."
        ),
    ] = ()
    proxy_header: Annotated[
        Literal["x-forwarded-for", "forwarded"],
        Field(
            description="The header in which trusted proxies pass the address of the client: "
            "`x-forwarded-for`, or `forwarded` (RFC 7239). The other one is not read."
        ),
    ] = "x-forwarded-for"
    metrics: Annotated[
        Literal["loopback", "admin", "off"] | None,
        Field(
            description="The readers of `/metrics`. `loopback`: programs on this machine without a "
            "credential, and admins; `admin`: only admins; `off`: no one. The default is `admin` "
            "if `GATEHOUSE_TRUSTED_PROXIES` or `GATEHOUSE_PUBLIC_URL` is set, otherwise `loopback`."
        ),
    ] = None
    password_range_url: Annotated[
        str | None,
        AfterValidator(
            lambda url: url and _check_service_url(url, "https://ranges.example.com/range")
        ),
        Field(
            description="A service with the passwords of data breaches, such as "
            "`https://api.pwnedpasswords.com/range`; it receives five hex digits of a hash."
        ),
    ] = None
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Field(description="`console` or `json`; `auto`: console in a terminal, otherwise JSON."),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        BeforeValidator(_lower),
        Field(
            description="The least severe lines that are written: `debug` (adds successful health "
            "checks), `info`, `warning` (without one line per request), `error` or `critical`."
        ),
    ] = "info"
    access_log: Annotated[
        Literal["on", "off"],
        Field(description="`off`: no line for each request; metrics still count them."),
    ] = "on"
    chat_url: Annotated[
        str | None,
        AfterValidator(
            lambda url: url and _check_service_url(url, "https://chat.example.com/internal")
        ),
        Field(
            description="The chat service that stores the guilds, such as "
            "`https://chat.example.com/internal`; by default Gatehouse stores them."
        ),
    ] = None
    chat_token: Annotated[
        Token,
        Field(repr=False, validate_default=True, description="The token for the chat service."),
    ] = None
    panel_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and _check_service_url(url, "https://panel.example.com")),
        Field(
            description="The panel that stores the servers, such as "
            "`https://panel.example.com`; by default Gatehouse stores them."
        ),
    ] = None
    panel_token: Annotated[
        Token,
        Field(
            repr=False,
            validate_default=True,
            description="The token for the panel; for Pterodactyl and Pelican an application API "
            "key that may read users and read and write servers.",
        ),
    ] = None
    panel_dialect: Annotated[
        Literal["generic", "pterodactyl"],
        Field(
            description="The API of the panel: our own, or the application API of Pterodactyl and "
            "Pelican."
        ),
    ] = "generic"
    bootstrap_admin_key: Annotated[
        str | None,
        Field(
            repr=False,
            description="The access key of the first admin; ignored once an admin exists.",
        ),
    ] = None

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str | None) -> str | None:
        if value is not None and not _is_redis_url(value):
            raise ValueError(
                "a Redis URL has the form redis://HOST:PORT/NUMBER, rediss:// with TLS, or "
                f"unix:///SOCKET; the parameters are {', '.join(_REDIS_OPTIONS)}"
            )
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str | None) -> str | None:
        if value is not None:
            PostgresUrl.parse(value) if is_postgres(value) else parse_sqlite_url(value)
        return value

    @field_validator("reserved_names")
    @classmethod
    def _check_reserved_names(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            ReservedNames.from_config(values)
        except InvalidUsername as error:
            raise ValueError(error.detail) from None
        return values

    @field_validator("bootstrap_admin_key")
    @classmethod
    def _check_admin_key(cls, value: str | None) -> str | None:
        if value is None:
            return None
        key = RawAccessKey.parse(value)
        if key is None:
            raise ValueError(
                "an access key consists of letters and digits in groups of 8, 4, 4, 4 and 8, "
                "separated by '-'"
            )
        if key.is_published:
            raise ValueError("this key is an example of the documentation; generate your own")
        return value

    @field_validator("chat_token", "panel_token")
    @classmethod
    def _check_token_and_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = str(info.field_name).removesuffix("_token").upper()
        url = info.data.get(f"{name.lower()}_url", value)
        if (url is None) != (value is None):
            raise ValueError(f"{PREFIX}{name}_URL and {PREFIX}{name}_TOKEN must be set together")
        return value

    @property
    def sqlite_path(self) -> Path | None:
        """The path of the database file; None for PostgreSQL."""
        if self.database_url is None:
            return self.data_dir / DATABASE_NAME
        return None if is_postgres(self.database_url) else parse_sqlite_url(self.database_url)

    def base_url(self, port: int) -> str:
        """Return the URL of the server that listens on `port`, the public one if it is known."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{port}"

    @property
    def base_path(self) -> str:
        """The path of the public URL, below which all links are; empty without one."""
        return base_path_of(self.public_url)

    @property
    def public_origin(self) -> str | None:
        """The origin of our own pages, if it is known."""
        return self.public_url and self.public_url.removesuffix(self.base_path)

    @property
    def metrics_access(self) -> Literal["loopback", "admin", "off"]:
        """The readers of the metrics; behind a proxy, every client seems to be on this machine."""
        if self.metrics is not None:
            return self.metrics
        return "admin" if self.trusted_proxies or self.public_url else "loopback"

    @property
    def rules(self) -> Rules:
        """The settings that the domain needs."""
        return Rules(
            registration_open=self.registration == "open",
            reserved_names=ReservedNames.from_config(self.reserved_names),
            name_hold=timedelta(days=self.name_hold_days),
            token_ttl=timedelta(seconds=self.token_ttl),
            rate_limits=self.rate_limits == "on",
        )


def load_settings() -> Settings:
    """Read the settings. Raises SettingsError for an invalid value or an unknown name."""
    try:
        return Settings.model_validate(read_settings(Settings.model_fields, os.environ))
    except ValidationError as error:
        raise SettingsError("\n".join(_format_error(dict(e)) for e in error.errors())) from None


def _format_error(error: dict[str, Any]) -> str:
    name = f"{PREFIX}{error['loc'][0]}".upper()
    return f"{name}: {error['msg'].removeprefix('Value error, ')}."


_REDIS_OPTIONS = (
    "db",
    "ssl_ca_certs",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
)


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
