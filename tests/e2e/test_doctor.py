"""`gatehouse doctor`: what it finds wanting, of the machine and of every part configured."""

import asyncio
import os
import shlex
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import metadata
from ipaddress import ip_network
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from app.cli import doctor
from app.cli.checks import files
from app.cli.checks.findings import Finding, Mark
from app.cli.doctor import examine
from app.container import ADMIN_KEY_FILE, open_container, prepare_store
from app.operations import operator
from app.operations.admin_users import AdminCreateUser
from app.security.clock import SystemClock
from app.settings import Settings
from tests.postgres import new_database
from tests.redis import own_redis

SECRET = "geheim4711"


@pytest.fixture
def installation(tmp_path: Path, migrated: Path) -> Settings:
    """A sound installation."""
    (tmp_path / "var").mkdir(mode=0o700)
    database = tmp_path / "var" / "gatehouse.sqlite3"
    shutil.copyfile(migrated, database)
    database.chmod(0o600)
    settings = Settings(data_dir=tmp_path / "var")
    make_admin(settings)
    return settings


def make_admin(settings: Settings) -> None:
    async def work() -> None:
        async with open_container(settings, signs=True) as opened:
            admin = AdminCreateUser("boss", None, "correct horse battery", admin=True)
            await operator.create_account(opened.services, admin)

    asyncio.run(work())


def found(settings: Settings, *marks: Mark) -> list[Finding]:
    return [finding for finding in asyncio.run(examine(settings)) if finding.mark in marks]


def the_bad(settings: Settings) -> Finding:
    (finding,) = found(settings, Mark.BAD)
    return finding


def with_settings(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


def test_a_sound_installation_has_nothing_to_note(installation: Settings) -> None:
    assert found(installation, Mark.NOTE, Mark.BAD) == []


def test_it_changes_nothing(installation: Settings) -> None:
    (installation.data_dir / "signing-key.pem").unlink()
    before = sorted(installation.data_dir.iterdir())
    assert "signing key" in {finding.subject for finding in found(installation, Mark.NOTE)}
    assert sorted(installation.data_dir.iterdir()) == before


def test_an_admins_key_that_was_left_lying_is_noted(installation: Settings) -> None:
    (installation.data_dir / ADMIN_KEY_FILE).write_text("key")
    (finding,) = found(installation, Mark.NOTE)
    assert "remove it here" in finding.detail


def test_a_missing_trusted_proxy_is_noted_with_the_setting(installation: Settings) -> None:
    public = with_settings(installation, public_url="https://id.example.com")
    (finding,) = found(public, Mark.NOTE)
    assert finding.subject == "proxies"
    assert "Set GATEHOUSE_TRUSTED_PROXIES=127.0.0.1," in finding.detail
    trusting = with_settings(public, trusted_proxies=(ip_network("127.0.0.1"),))
    assert Finding(Mark.OK, "proxies", "trusted: 127.0.0.1/32") in found(trusting, Mark.OK)


@pytest.mark.parametrize(
    ("public_url", "trusted", "exempt", "noted"),
    [
        (None, ["0.0.0.0/0", "10.0.0.0/8"], [], ["TRUSTED_PROXIES has 0.0.0.0/0: any client"]),
        (None, ["::/0"], ["192.0.2.0/24"], ["TRUSTED_PROXIES has ::/0: any client"]),
        (
            None,
            [],
            ["0.0.0.0/0", "::/0"],
            ["RATE_LIMIT_EXEMPT has 0.0.0.0/0: no", "RATE_LIMIT_EXEMPT has ::/0: no"],
        ),
        (
            "https://id.example.com",
            [],
            ["127.0.0.1"],
            ["RATE_LIMIT_EXEMPT has 127.0.0.1/32, the address of"],
        ),
        ("https://id.example.com", ["127.0.0.1"], ["127.0.0.1"], []),
        (None, [], ["127.0.0.1"], []),
    ],
)
def test_a_network_that_lifts_the_limits_of_everyone_is_noted(
    installation: Settings,
    public_url: str | None,
    trusted: list[str],
    exempt: list[str],
    noted: list[str],
) -> None:
    chosen = with_settings(
        installation,
        public_url=public_url,
        trusted_proxies=tuple(map(ip_network, trusted)),
        rate_limit_exempt=tuple(map(ip_network, exempt)),
    )
    notes = [one.detail for one in found(chosen, Mark.NOTE) if one.subject == "networks"]
    assert [
        detail.partition("_")[2][: len(text)] for detail, text in zip(notes, noted, strict=True)
    ] == noted


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a file to another user.")
def test_a_file_of_another_user_is_bad(installation: Settings) -> None:
    """As root leaves it by a command; the files that SQLite has beside a database count, too."""
    log = installation.data_dir / "gatehouse.sqlite3-wal"
    log.touch()
    os.chown(log, 4711, -1)
    finding = the_bad(installation)
    assert (finding.subject, finding.detail) == (
        str(log),
        f"belongs to user 4711, the data directory to 0: chown -h 0 {log}",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a file to another user.")
def test_a_name_or_link_that_the_service_makes_changes_no_command(
    installation: Settings, tmp_path: Path
) -> None:
    """A compromised service must not get a file of the system by the operator's own hand."""
    system = tmp_path / "shadow"
    system.touch()
    os.chown(system, 4711, -1)
    (installation.data_dir / "link").symlink_to(system)
    odd = installation.data_dir / "x'; reboot"
    odd.touch()
    os.chown(odd, 4711, -1)
    (_, command) = the_bad(installation).detail.split(": ", 1)
    assert shlex.split(command) == ["chown", "-h", "0", str(odd)]


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a file to another user.")
def test_of_a_database_that_is_a_link_the_file_is_examined(
    installation: Settings, tmp_path: Path
) -> None:
    real = tmp_path / "elsewhere.sqlite3"
    assert installation.sqlite_path is not None
    installation.sqlite_path.rename(real)
    installation.sqlite_path.symlink_to(real)
    os.chown(real, 4711, -1)
    assert the_bad(installation).subject == str(real)


def test_an_sqlite_library_without_a_sound_wal_mode_is_noted(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "has_sound_wal", lambda: False)
    (finding,) = found(installation, Mark.NOTE)
    assert finding.subject == "SQLite"
    assert "uses a rollback journal" in finding.detail


def test_a_signing_key_that_is_retired_is_bad(installation: Settings) -> None:
    async def retire() -> None:
        async with open_container(installation, signs=True) as opened:
            kid = opened.signing.current().kid
            now = opened.services.clock.now()
            await opened.services.store.write(lambda tx: tx.signing_keys.retire(kid, now))

    asyncio.run(retire())
    assert "is retired" in the_bad(installation).detail


def test_a_clock_that_was_set_back_is_bad(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_ago = SystemClock().now() - timedelta(hours=1)
    monkeypatch.setattr(SystemClock, "now", lambda _: hour_ago)
    assert the_bad(installation).subject == "clock"


def test_too_little_space_is_bad(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_BYTES", 2**60)
    assert the_bad(installation).subject == "free space"


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("fastapi", "0.1", "fastapi 0.1 is not >="),
        ("uvicorn", None, "uvicorn is missing"),
        ("passlib", "1.7.4", "into the same folder"),
    ],
)
def test_a_library_that_is_not_as_required_is_bad(
    installation: Settings,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    version: str | None,
    sentence: str,
) -> None:
    def pretend(asked: str) -> str:
        if asked != name:
            return metadata.version(asked)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(doctor, "version", pretend)
    assert sentence in the_bad(installation).detail


@pytest.mark.parametrize(
    "configured",
    [
        {"redis_url": f"redis://user:{SECRET}@127.0.0.1:1/0"},
        {"database_url": f"postgresql://user:{SECRET}@127.0.0.1:1/name"},
    ],
)
def test_an_unreachable_service_is_bad_and_no_password_is_shown(
    installation: Settings, configured: dict[str, str]
) -> None:
    findings = asyncio.run(examine(with_settings(installation, **configured)))
    faults = [f.detail for f in findings if f.mark is Mark.BAD]
    assert any("127.0.0.1" in detail for detail in faults)
    if "database_url" in configured:
        assert faults[0].endswith("Start PostgreSQL, or correct GATEHOUSE_DATABASE_URL.")
    else:
        assert faults[0].endswith("Start Redis, or correct GATEHOUSE_REDIS_URL.")
    assert SECRET not in repr(findings)


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_service_delays_the_checks_for_a_short_time(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.5)
    with silent_server() as address:
        silent = with_settings(
            installation,
            redis_url=f"redis://{address}/0",
            database_url=f"postgresql://user:{SECRET}@{address}/name",
            password_range_url=f"http://{address}/range",
        )
        began = monotonic()
        findings = found(silent, Mark.BAD)
        assert monotonic() - began < 20
    subjects = {finding.subject for finding in findings}
    assert subjects == {"PostgreSQL", "database", "Redis", "password ranges"}
    assert SECRET not in repr(findings)


def test_redis_is_asked_and_its_clock(installation: Settings, tmp_path: Path) -> None:
    with own_redis(tmp_path) as redis:
        findings = found(with_settings(installation, redis_url=redis.url), Mark.OK)
    assert {"Redis", "clock of Redis"} <= {finding.subject for finding in findings}


def test_postgresql_is_asked_and_its_clock(installation: Settings) -> None:
    with new_database() as url:
        on_server = with_settings(installation, database_url=url)
        assert "migrate" in the_bad(on_server).detail
        prepare_store(on_server)
        make_admin(on_server)
        findings = asyncio.run(examine(on_server))
    assert not [finding for finding in findings if finding.mark is Mark.BAD]
    subjects = {finding.subject for finding in findings}
    assert {"PostgreSQL", "search", "clock of PostgreSQL", "signing key"} <= subjects


def test_the_clocks_of_others_are_held_against_ones_own(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SystemClock().now() + timedelta(minutes=1)
    monkeypatch.setattr(SystemClock, "now", lambda _: later)
    with own_redis(tmp_path) as redis:
        assert the_bad(with_settings(installation, redis_url=redis.url)).subject == "clock of Redis"
