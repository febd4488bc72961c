"""The settings: what is read from the environment, and what stops a start."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from app.domain.errors import InvalidUsername
from app.domain.names import Username
from app.environment import SettingsError
from app.settings import load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the checkout's counts."""
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.sqlite_path == Path("var/gatehouse.sqlite3")
    assert settings.rules.token_ttl == timedelta(days=7)
    assert settings.rules.name_hold == timedelta(days=30)
    assert settings.rules.registration_open


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("DATABASE_URL", "sqlite:///some/file.db", "sqlite_path", Path("some/file.db")),
        ("DATABASE_URL", "sqlite:////srv/a%20b.db", "sqlite_path", Path("/srv/a b.db")),
        (
            "DATABASE_URL",
            "postgresql://me:secret@db.example.com:5433/accounts",
            "sqlite_path",
            None,
        ),
        ("DATABASE_URL", "postgres://localhost/accounts", "sqlite_path", None),
        ("DATABASE_URL", "postgresql:///accounts", "sqlite_path", None),
        ("DATABASE_URL", "postgresql:///x?host=/tmp&sslmode=require", "sqlite_path", None),
        ("DATA_DIR", "/srv/gatehouse", "sqlite_path", Path("/srv/gatehouse/gatehouse.sqlite3")),
        (
            "TRUSTED_PROXIES",
            "10.0.0.1, fd00::/8",
            "trusted_proxies",
            (ip_network("10.0.0.1/32"), ip_network("fd00::/8")),
        ),
        (
            "TRUSTED_PROXIES",
            "::ffff:127.0.0.1, ::ffff:10.0.0.0/104",
            "trusted_proxies",
            (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8")),
        ),
        ("PROXY_HEADER", "forwarded", "proxy_header", "forwarded"),
        ("METRICS", "off", "metrics_access", "off"),
        ("PUBLIC_URL", "https://id.example", "metrics_access", "admin"),
        ("TRUSTED_PROXIES", "127.0.0.1", "metrics_access", "admin"),
        ("PORT", "8000", "metrics_access", "loopback"),
        ("CORS_ORIGINS", "https://a.example", "cors_origins", ("https://a.example",)),
        (
            "CORS_ORIGINS",
            "capacitor://localhost, tauri://localhost,ionic://localhost, app://-, app://Notes.app",
            "cors_origins",
            (
                *("capacitor://localhost", "tauri://localhost", "ionic://localhost"),
                *("app://-", "app://Notes.app"),
            ),
        ),
        (
            "CORS_ORIGINS",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop,vscode-webview://x:1,http://[::1]:3000",
            "cors_origins",
            (
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
                *("vscode-webview://x:1", "http://[::1]:3000"),
            ),
        ),
        ("PUBLIC_URL", "HTTPS://Id.example:443", "public_url", "https://id.example"),
        ("PUBLIC_URL", "https://id.example", "public_url", "https://id.example"),
        ("PUBLIC_URL", "https://id.example/", "base_path", ""),
        ("PUBLIC_URL", "HTTPS://Example.com/id/", "public_url", "https://example.com/id"),
        ("PUBLIC_URL", "https://example.com/a/b.c", "base_path", "/a/b.c"),
        ("PUBLIC_URL", "https://example.com/a/b.c", "public_origin", "https://example.com"),
        *(
            ("TOKEN_TTL", value, "token_ttl", seconds)
            for value, seconds in (
                *(("90", 90), ("60s", 60), ("15m", 900), ("12h", 43200), (" 7d ", 604800)),
                *(("2w", 1209600), ("90d", 7776000)),
            )
        ),
        (
            "PASSWORD_RANGE_URL",
            "https://api.pwnedpasswords.com/range",
            "password_range_url",
            "https://api.pwnedpasswords.com/range",
        ),
        ("PASSWORD_RANGE_URL", "", "password_range_url", None),
        ("RATE_LIMITS", "off", "rate_limits", "off"),
        (
            "REDIS_URL",
            "rediss://:secret@redis.example/1",
            "redis_url",
            "rediss://:secret@redis.example/1",
        ),
        *(
            ("REDIS_URL", value, "redis_url", value)
            for value in (
                *("redis://redis.example", "redis://me:s@[::1]:6380/0?ssl_cert_reqs=none"),
                *("rediss://r.example/?ssl_ca_certs=/ca.pem&db=2", "unix:///run/redis.sock?db=0"),
                "unix:///r",
            )
        ),
        ("PUBLIC_URL", f"https://a.example/{'x' * 127}", "base_path", f"/{'x' * 127}"),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("ACCESS_LOG", "off", "access_log", "off"),
    ],
)
def test_a_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, attribute: str, expected: object
) -> None:
    monkeypatch.setenv(f"GATEHOUSE_{name}", value)
    assert getattr(load_settings(), attribute) == expected


WILDCARD, WRITE = "has a wildcard", "write https://a.example."
# What no browser sends as an origin, and what the sentence says about it.
CORS_FAULTS = [
    *((value, WILDCARD) for value in ("*", "https://*.example.com", "https://a.*.example", "*.a")),
    *((f"https://a.example{more}", WRITE) for more in ("/", "/path", "?x", "#x", ":443")),
    *((value, WRITE) for value in ("https://A.example", "HTTPS://a.example", "https:a.example")),
    ("http://a.example:80", "write http://a.example."),
    *(
        (value, "write https://a.example or http://a.example.")
        for value in ("a.example", "//a.example")
    ),
    ("localhost:3000", "or http://localhost:3000."),
    ("http://[0:0::1]:3000", "write http://[::1]:3000."),
    ("capacitor://localhost/", "write capacitor://localhost."),
    ("Capacitor://localhost", "write capacitor://localhost."),
    ("'https://a.example'", WRITE),
    ('"https://a.example"', WRITE),
    (
        "https://me:secret@a.example",
        "GATEHOUSE_CORS_ORIGINS: the text is not an origin",
    ),
    ("https://a.example https://b.example", "separate them by commas"),
    ("https://a.example;https://b.example", "separate them by commas"),
    ("null", "local files"),
    *(
        (value, "is not an origin such as https://chat.example.com.")
        for value in (
            *("https://", "https://a b", "https://a.example:", "https://a.example:0"),
            *("https://a.example:65536", "https://a.example:x", "https://[::1", "https://[:]"),
            *("https://m\u00fcnchen.example", "1app://x", "file://host", "https://a\\b", "x" * 600),
        )
    ),
]


def test_configured_names_are_reserved_beside_the_built_in_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEHOUSE_RESERVED_NAMES", "Staff, owner")
    reserved = load_settings().rules.reserved_names
    for name in ("staff", "owner", "root"):
        with pytest.raises(InvalidUsername):
            reserved.require_free(Username.parse(name))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("COLOUR", "blue", "There is no setting GATEHOUSE_COLOUR"),
        ("PORT", "http", "GATEHOUSE_PORT"),
        ("PORT", "65536", "GATEHOUSE_PORT"),
        *(
            ("TOKEN_TTL", value, "GATEHOUSE_TOKEN_TTL: a duration is a number of seconds, or")
            for value in ("week", "7 days", "d", "1.5h", "-1d", "7d12h", "7D", "\u0667d", "9" * 99)
        ),
        *(
            ("TOKEN_TTL", value, "GATEHOUSE_TOKEN_TTL: the duration must be from 1m to 90d.")
            for value in ("0", "59", "59s", "91d", "13w", "7776001")
        ),
        ("WORKERS", "0", "GATEHOUSE_WORKERS: must be at least 1."),
        ("WORKERS", "257", "GATEHOUSE_WORKERS: must be at most 256."),
        ("NAME_HOLD_DAYS", "30d", "GATEHOUSE_NAME_HOLD_DAYS: must be a whole number."),
        ("REGISTRATION", "maybe", "GATEHOUSE_REGISTRATION: must be 'open' or 'closed'."),
        ("RATE_LIMITS", "maybe", "GATEHOUSE_RATE_LIMITS"),
        ("REDIS_URL", "127.0.0.1:6379", "redis://HOST:PORT/NUMBER"),
        *(
            ("REDIS_URL", value, "redis://HOST:PORT/NUMBER")
            for value in (
                *("redis://", "redis:///1", "redis://redis.example/zero", "redis://r.example/0#x"),
                *("redis://r.example:0", "redis://r.example:x", "http://r.example/0"),
                *("redis://r.example?db=zero", "redis://r.example?password=x", "redis://r?db"),
                *("unix://", "unix:///", "unix://r.example/socket", "unix:///run/x?db=one"),
            )
        ),
        ("CHAT_URL", "https://chat.example.com", "GATEHOUSE_CHAT_TOKEN must be set together"),
        ("PANEL_URL", "https://panel.example.com", "GATEHOUSE_PANEL_TOKEN must be set together"),
        (
            "CHAT_TOKEN",
            "secret",
            "GATEHOUSE_CHAT_URL and GATEHOUSE_CHAT_TOKEN must be set together",
        ),
        ("PANEL_TOKEN", "with a space", "GATEHOUSE_PANEL_TOKEN: a token must have 1 to 4096"),
        (
            "PANEL_TOKEN",
            "with\nanother: header",
            "GATEHOUSE_PANEL_TOKEN: a token must have 1 to 4096",
        ),
        ("CHAT_URL", "ftp://chat.example.com", "the URL must have the form"),
        ("CHAT_URL", "https://chat.example.com/?who=", "the URL must have the form"),
        ("CHAT_URL", "https://me:secret@chat.example.com", "the URL must have the form"),
        ("PANEL_URL", "https://panel.example.com:port", "the URL must have the form"),
        ("PANEL_URL", "https://panel.example.com/\\evil.example", "the URL must have the form"),
        ("PANEL_DIALECT", "wisp", "GATEHOUSE_PANEL_DIALECT"),
        ("DATABASE_URL", "postgresql://localhost", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("DATABASE_URL", "postgresql://localhost:port/x", "postgresql://USER:PASSWORD@HOST/NAME"),
        (
            "DATABASE_URL",
            "postgresql://localhost/x?colour=blue",
            "'colour' is not a supported parameter",
        ),
        ("DATABASE_URL", "sqlite:///:memory:", "GATEHOUSE_DATABASE_URL"),
        ("DATABASE_URL", "sqlite://", "GATEHOUSE_DATABASE_URL"),
        ("DATABASE_URL", "mysql://localhost/x", "GATEHOUSE_DATABASE_URL"),
        ("BOOTSTRAP_ADMIN_KEY", "secret", "groups of 8, 4, 4, 4 and 8"),
        ("BOOTSTRAP_ADMIN_KEY", "ABCDEFGH-1234-5678-0000-abcdefgh", "example of the documentation"),
        ("BOOTSTRAP_ADMIN_KEY", "demo1111-2222-3333-4444-55556666", "example of the documentation"),
        ("RESERVED_NAMES", "a b", "GATEHOUSE_RESERVED_NAMES"),
        ("TRUSTED_PROXIES", "nearby", "GATEHOUSE_TRUSTED_PROXIES"),
        *(("CORS_ORIGINS", value, sentence) for value, sentence in CORS_FAULTS),
        ("PUBLIC_URL", "capacitor://localhost", "is not an origin"),
        ("PROXY_HEADER", "x-real-ip", "GATEHOUSE_PROXY_HEADER"),
        ("METRICS", "everybody", "GATEHOUSE_METRICS"),
        ("PUBLIC_URL", "id.example.com", "is not an origin"),
        ("PUBLIC_URL", "https://id.example.com?x", "is not an origin"),
        ("PUBLIC_URL", "https://me:secret@id.example.com/id", "is not an origin"),
        *(
            ("PUBLIC_URL", f"https://example.com/{path}", "the path of the URL may have letters")
            for path in ("/id", "id//x", "..", "id/../x", "i d", "id?x", "%69d", "id#", "x" * 128)
        ),
        *(
            ("PUBLIC_URL", f"https://example.com/{path}", "a path of Gatehouse itself")
            for path in ("users", "docs/", "rpc/id")
        ),
        ("PASSWORD_RANGE_URL", "ranges.example.com", "the URL must have the form"),
        ("PASSWORD_RANGE_URL", "file:///etc/passwd", "the URL must have the form"),
        ("PASSWORD_RANGE_URL", "https:///range", "the URL must have the form"),
        (
            "PASSWORD_RANGE_URL",
            "https://me:secret@ranges.example.com",
            "the URL must have the form",
        ),
        (
            "PASSWORD_RANGE_URL",
            "https://ranges.example.com/range?mode=ntlm",
            "the URL must have the form",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"GATEHOUSE_{name}", value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert sentence in str(refusal.value)
    assert name != "BOOTSTRAP_ADMIN_KEY" or value not in str(refusal.value)
    assert "me:secret" not in str(refusal.value)


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "DATA_DIR", "DATABASE_URL", "REDIS_URL", "BOOTSTRAP_ADMIN_KEY"):
        monkeypatch.setenv(f"GATEHOUSE_{name}", "")
    settings = load_settings()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8000, Path("var"))


def test_a_dotenv_file_that_is_no_text_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"GATEHOUSE_HOST=\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings()
