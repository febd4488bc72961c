"""Settings from environment variables and `.env`, with the prefix `GATEHOUSE_`.

Only the packages that assemble and run the process read them; the others get what they need.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from app.database_url import is_postgres, parse_sqlite_url
from app.domain.addresses import Network
from app.domain.names import ReservedNames
from app.domain.rules import Rules
from app.domain.web_origins import require_web_origin
from app.environment import PREFIX, SettingsError, find_settings
from app.http.public_url import base_path_of, parse_public_url
from app.setting_values import (
    CommaSeparated,
    LowerCase,
    Networks,
    Token,
    check_admin_key,
    check_database_url,
    check_redis_url,
    check_reserved_names,
    describe_wide_networks,
    duration,
    service_url,
)

DATABASE_NAME = "gatehouse.sqlite3"


class Settings(BaseModel):
    """Settings of this gateway. An invalid value stops the start."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: Annotated[
        str | None,
        AfterValidator(check_database_url),
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
        AfterValidator(check_redis_url),
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
        duration("1m", "90d"),
        Field(
            description="The lifetime of a token, such as `12h` or `7d`, or in seconds; at most 90 "
            "days."
        ),
    ] = 7 * 86400
    registration: Annotated[
        Literal["open", "closed"],
        Field(description="`open`: anyone may register; `closed`: only admins create accounts."),
    ] = "open"
    reserved_names: Annotated[
        tuple[str, ...],
        CommaSeparated,
        AfterValidator(check_reserved_names),
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
    rate_limit_exempt: Annotated[
        tuple[Network, ...],
        Networks,
        Field(
            description="Networks, separated by commas, whose calls are not limited by address, "
            "such as that of a chat server or an office. Limits by account and the locks after "
            "wrong passwords stay."
        ),
    ] = ()
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
        Networks,
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
        service_url("https://ranges.example.com/range"),
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
        LowerCase,
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
        service_url("https://chat.example.com/internal"),
        Field(
            description="The chat service that stores the guilds, such as "
            "`https://chat.example.com/internal`; by default Gatehouse stores them."
        ),
    ] = None
    chat_token: Annotated[
        str | None,
        Token,
        Field(repr=False, validate_default=True, description="The token for the chat service."),
    ] = None
    panel_url: Annotated[
        str | None,
        service_url("https://panel.example.com"),
        Field(
            description="The panel that stores the servers, such as "
            "`https://panel.example.com`; by default Gatehouse stores them."
        ),
    ] = None
    panel_token: Annotated[
        str | None,
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
        AfterValidator(check_admin_key),
        Field(
            repr=False,
            description="The access key of the first admin; ignored once an admin exists.",
        ),
    ] = None

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
    def proxy_advice(self) -> str | None:
        """The advice about a proxy that the public URL implies, but that is not trusted."""
        if self.trusted_proxies or not (self.public_url or "").startswith("https:"):
            return None
        is_local = self.host in {"127.0.0.1", "localhost"}
        peer = "127.0.0.1" if is_local else "::1" if self.host == "::1" else "ADDRESS_OF_THE_PROXY"
        return (
            f"{PREFIX}PUBLIC_URL is https, so a proxy forwards the requests, but no proxy is "
            "trusted: all clients share its address and one rate limit. "
            f"Set {PREFIX}TRUSTED_PROXIES={peer}, and have the proxy send X-Forwarded-For."
        )

    @property
    def network_advice(self) -> Sequence[str]:
        """The advice about trusted and exempt networks that contain too much."""
        has_untrusted_proxy = self.proxy_advice is not None
        return describe_wide_networks(
            self.trusted_proxies, self.rate_limit_exempt, has_untrusted_proxy=has_untrusted_proxy
        )

    @property
    def rules(self) -> Rules:
        """The settings that the domain needs."""
        return Rules(
            registration_open=self.registration == "open",
            reserved_names=ReservedNames.from_config(self.reserved_names),
            name_hold=timedelta(days=self.name_hold_days),
            token_ttl=timedelta(seconds=self.token_ttl),
            rate_limits=self.rate_limits == "on",
            rate_limit_exempt=self.rate_limit_exempt,
        )


# In a file, too, which the setting with `_FILE` after its name names.
SECRETS = tuple(name for name, field in Settings.model_fields.items() if not field.repr)
# A file that is not a `.env` at all has a fault in each line.
FAULTS_MAX = 20


def load_settings() -> Settings:
    """Read the settings. Raises SettingsError, which names everything that is wrong with them."""
    found = find_settings(Settings.model_fields, SECRETS, os.environ)
    faults = [*found.faults]
    try:
        settings = Settings.model_validate(found.values)
        if not faults:
            return settings
    except ValidationError as error:
        faults += [
            _describe_fault(dict(fault))
            for fault in error.errors()
            if fault["loc"][0] not in found.unread
        ]
    shown, more = faults[:FAULTS_MAX], len(faults) - FAULTS_MAX
    if more > 0:
        shown.append(f"There are {more} more faults.")
    raise SettingsError("\n".join(shown))


def _describe_fault(error: dict[str, Any]) -> str:
    name = f"{PREFIX}{error['loc'][0]}".upper()
    limits = error.get("ctx", {})
    sentences = {
        "int_parsing": "must be a whole number",
        "greater_than_equal": f"must be at least {limits.get('ge')}",
        "less_than_equal": f"must be at most {limits.get('le')}",
        "literal_error": f"must be {limits.get('expected')}",
    }
    reason = sentences.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{name}: {reason}."
