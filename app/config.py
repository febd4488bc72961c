"""The settings: environment variables and `.env`, prefix `GATEHOUSE_`. An empty one is none.

Read where the process is put together and run; the other rooms get what they need of it.
"""

import os
import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.credentials import KeyText
from app.domain.errors import InvalidUsername
from app.domain.names import ReservedNames
from app.domain.rules import Rules

PREFIX = "GATEHOUSE_"
DATABASE_NAME = "gatehouse.sqlite3"
Network = IPv4Network | IPv6Network


class SettingsError(ValueError):
    """The configuration cannot be used; the sentence says which setting and why."""


def _commas(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query:
        raise ValueError(f"'{value}' is not an origin such as https://chat.example.com")
    return value


def _service_url(value: str, example: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(value)
        is_plain = not (set("?#@\\") & set(value)) and value.isascii() and value.isprintable()
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and is_plain:
            return value
    raise ValueError(f"the service is named by a URL such as {example}")


def _token(value: str | None) -> str | None:
    # What may stand in a header's value without any doubt.
    if value is not None and re.fullmatch(r"[!-~]{1,4096}", value) is None:
        raise ValueError("a token has up to 4096 letters, digits and signs of ASCII, and no space")
    return value


def _networks(values: Any) -> Any:
    return [ip_network(part, strict=False) for part in _commas(values)]


CommaSeparated = BeforeValidator(_commas)
Token = Annotated[str | None, AfterValidator(_token)]


class Settings(BaseSettings):
    """How this gateway is run. Frozen; a value that cannot be used stops the start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: Annotated[
        str | None,
        Field(
            description="`sqlite:///relative/path`, `sqlite:////absolute/path` or "
            "`postgresql://user:password@host/name`; by default a file in the data directory."
        ),
    ] = None
    data_dir: Annotated[
        Path,
        Field(
            description="The data directory: where the database and the signing key are. Made "
            "with mode 0700; relative to the working directory."
        ),
    ] = Path("var")
    redis_url: Annotated[
        str | None,
        Field(
            repr=False,
            description="`redis://user:password@host:6379/0`, or `rediss:` with TLS: where the "
            "workers of all machines count the calls of an address together. Without it, each "
            "worker allows its part.",
        ),
    ] = None
    host: Annotated[str, Field(description="The address to listen at.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="The port to listen at; 0 takes a free one.")
    ] = 8000
    public_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and _origin(url)),
        Field(
            description="The origin that clients use, such as `https://id.example.com`; with "
            "https, answers carry HSTS."
        ),
    ] = None
    workers: Annotated[
        int,
        Field(ge=1, le=256, description="How many processes serve; one for each core, say."),
    ] = 1
    token_ttl: Annotated[
        int,
        Field(
            ge=60,
            le=90 * 86400,
            description="How long a token is valid, in seconds; at most 90 days.",
        ),
    ] = 7 * 86400
    registration: Annotated[
        Literal["open", "closed"],
        Field(description="`open`: anyone may sign up; `closed`: only admins create accounts."),
    ] = "open"
    reserved_names: Annotated[
        tuple[str, ...],
        NoDecode,
        CommaSeparated,
        Field(description="More names, separated by commas, that only admins give out."),
    ] = ()
    name_hold_days: Annotated[
        int,
        Field(ge=0, le=36500, description="How many days a name left by renaming is held back."),
    ] = 30
    rate_limits: Annotated[
        Literal["on", "off"],
        Field(
            description="`off`: no limits by address, and no locks of accounts after wrong "
            "passwords."
        ),
    ] = "on"
    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...],
        NoDecode,
        CommaSeparated,
        Field(description="Origins, separated by commas, whose pages may call the gateway."),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        NoDecode,
        BeforeValidator(_networks),
        Field(
            description="Networks, separated by commas, whose `X-Forwarded-For` and "
            "`X-Request-ID` are believed."
        ),
    ] = ()
    password_range_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and _service_url(url, "https://ranges.example.com/range")),
        Field(
            description="A service that knows passwords from breaches, such as "
            "`https://api.pwnedpasswords.com/range`; it is told five hex digits of a hash."
        ),
    ] = None
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Field(description="`console` or `json`; `auto`: console in a terminal, else JSON."),
    ] = "auto"
    chat_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and _service_url(url, "https://chat.example.com/internal")),
        Field(
            description="The chat service, where that keeps the guilds, such as "
            "`https://chat.example.com/internal`; by default the embedded registry does."
        ),
    ] = None
    chat_token: Annotated[
        Token,
        Field(repr=False, validate_default=True, description="What opens the chat service to us."),
    ] = None
    panel_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and _service_url(url, "https://panel.example.com")),
        Field(
            description="The panel, where that keeps the servers, such as "
            "`https://panel.example.com`; by default the embedded registry does."
        ),
    ] = None
    panel_token: Annotated[
        Token,
        Field(
            repr=False,
            validate_default=True,
            description="What opens the panel to us; for Pterodactyl and Pelican an application "
            "API key that reads users and reads and writes servers.",
        ),
    ] = None
    panel_dialect: Annotated[
        Literal["generic", "pterodactyl"],
        Field(
            description="What the panel speaks: our own dialect, or the application API of "
            "Pterodactyl and Pelican."
        ),
    ] = "generic"
    bootstrap_admin_key: Annotated[
        str | None,
        Field(repr=False, description="The first admin's access key; ignored once there is one."),
    ] = None

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value is not None and not _is_redis(value):
            raise ValueError("a Redis is named by redis://HOST:PORT/NUMBER, or rediss:// with TLS")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        if value is not None and not _is_postgresql(value):
            _sqlite_file(value)
        return value

    @field_validator("reserved_names")
    @classmethod
    def _names(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            ReservedNames.of(values)
        except InvalidUsername as error:
            raise ValueError(error.detail) from None
        return values

    @field_validator("bootstrap_admin_key")
    @classmethod
    def _well_formed(cls, value: str | None) -> str | None:
        if value is None:
            return None
        key = KeyText.parse(value)
        if key is None:
            raise ValueError(
                "an access key has letters and digits in groups of 8, 4, 4, 4 and 8, joined by '-'"
            )
        if key.is_published:
            raise ValueError("this key is printed in the documentation; make one of your own")
        return value

    @field_validator("chat_token", "panel_token")
    @classmethod
    def _goes_with_its_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = str(info.field_name).removesuffix("_token").upper()
        url = info.data.get(f"{name.lower()}_url", value)
        if (url is None) != (value is None):
            raise ValueError(f"{PREFIX}{name}_URL and {PREFIX}{name}_TOKEN go together")
        return value

    @property
    def sqlite_path(self) -> Path | None:
        """The database file; None where the accounts are in PostgreSQL."""
        if self.database_url is None:
            return self.data_dir / DATABASE_NAME
        return None if _is_postgresql(self.database_url) else _sqlite_file(self.database_url)

    @property
    def rules(self) -> Rules:
        """What the domain needs to know of all this."""
        return Rules(
            registration_open=self.registration == "open",
            reserved_names=ReservedNames.of(self.reserved_names),
            name_hold=timedelta(days=self.name_hold_days),
            token_ttl=timedelta(seconds=self.token_ttl),
            rate_limits=self.rate_limits == "on",
        )


def load_settings() -> Settings:
    """Read the settings. Raises SettingsError for a value or a name that is unknown."""
    try:
        names = {*os.environ, *dotenv_values(".env")}
    except UnicodeDecodeError:
        raise SettingsError("The file .env is not in UTF-8.") from None
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    unknown = sorted(n for n in names if n.upper().startswith(PREFIX) and n.upper() not in known)
    if unknown:
        raise SettingsError(f"There is no setting {', '.join(unknown)}.")
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(dict(e)) for e in error.errors())) from None


def _sentence(error: dict[str, Any]) -> str:
    name = f"{PREFIX}{error['loc'][0]}".upper()
    return f"{name}: {re.sub('^Value error, ', '', error['msg'])}."


def _is_postgresql(url: str) -> bool:
    """Whether the URL names a PostgreSQL database; ValueError where it does so badly."""
    if not url.startswith(("postgresql:", "postgres:")):
        return False
    with suppress(ValueError):
        parts = urlsplit(url)
        named = parts.hostname and parts.path.strip("/") and parts.port != 0
        if named and not (parts.query or parts.fragment):
            return True
    raise ValueError("a PostgreSQL database is named by postgresql://USER:PASSWORD@HOST/NAME")


def _is_redis(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        number = parts.path.removeprefix("/")
        named = parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0
        return bool(named and (number.isdecimal() or not number) and not parts.query)
    return False


def _sqlite_file(url: str) -> Path:
    scheme, _, path = url.partition("://")
    is_path = path.startswith("/") and path not in {"/", "/:memory:"} and "?" not in path
    if scheme != "sqlite" or not is_path:
        raise ValueError(
            "a database is named by sqlite:///PATH, sqlite:////ABSOLUTE/PATH or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        )
    return Path(unquote(path[1:]))
