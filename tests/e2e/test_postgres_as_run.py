"""PostgreSQL as operators run it: TLS, sockets, passwords, roles, encodings."""

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.cli.checks.findings import Mark
from app.cli.doctor import examine
from app.database_url import PostgresUrl
from app.settings import Settings
from app.storage.errors import StoreError
from app.storage.postgresql.connect import Connector
from app.storage.postgresql.store import PostgresServer
from tests.certificates import Authority
from tests.faults.own_postgres import OwnPostgres, own_postgres

# asyncpg does not wait until a refused connection is closed: the event loop of a command may end
# first, as the process does then.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

PASSWORD = "p@ss:w/o?r#d&d=%20 +'\"\\ grün"
# Who may log in, and how.
ACCESS = """
local   all postgres  trust
local   all all       scram-sha-256
host    all postgres  127.0.0.1/32 trust
hostssl all tls       127.0.0.1/32 scram-sha-256
hostssl all certified 127.0.0.1/32 cert
hostnossl all plain   127.0.0.1/32 scram-sha-256
host    all owner     127.0.0.1/32 scram-sha-256
host    all nobody    127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """A server with TLS; the files that its clients have."""

    postgres: OwnPostgres
    folder: Path

    def url(
        self, user: str, *parameters: str, host: str = "127.0.0.1", name: str = "postgres"
    ) -> str:
        """The URL for a user with that password."""
        address = f"{user}:{quote(PASSWORD, safe='')}@{host}:{self.postgres.port}"
        return f"postgresql://{address}/{name}?{'&'.join(parameters)}"

    def file(self, parameter: str, name: str) -> str:
        """The parameter that names a file."""
        return f"{parameter}={self.folder / name}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("client")
    authority = Authority()
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "other.pem").write_bytes(Authority().pem)
    client = authority.certify("certified", password=b"sesame")
    (folder / "client.pem").write_bytes(client.certificate)
    (folder / "client.key").write_bytes(client.key)
    with own_postgres() as postgres:
        server = authority.certify("localhost")
        files = {
            "ssl_cert_file": postgres.write("server.pem", server.certificate),
            "ssl_key_file": postgres.write("server.key", server.key),
            "ssl_ca_file": postgres.write("ca.pem", authority.pem),
            "hba_file": postgres.write("access", ACCESS.encode()),
        }
        for name, path in files.items():
            postgres.set(name, str(path))
        postgres.set("ssl", "on")
        postgres.stop("fast")
        postgres.start()
        secret = PASSWORD.replace("'", "''")
        for user in ("tls", "plain", "certified", "owner"):
            postgres.ask(f"CREATE ROLE {user} LOGIN PASSWORD '{secret}'")
        yield Secured(postgres, folder)
    # What is unclosed is reported here, and not in a test of another module.
    gc.collect()


def ask(url: str, question: str) -> Any:
    """Return the answer of one connection to a query."""

    async def run() -> Any:
        connection = await Connector(PostgresUrl.parse(url), {}, 5.0)()
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(run())


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
CA = ("sslrootcert", "ca.pem")
OTHER = ("sslrootcert", "other.pem")


@pytest.mark.parametrize(
    ("user", "mode", "host", "root", "encrypted"),
    [
        ("tls", "disable", "127.0.0.1", None, None),
        ("tls", "allow", "127.0.0.1", None, True),
        ("tls", "prefer", "127.0.0.1", None, True),
        ("tls", "require", "127.0.0.1", None, True),
        ("tls", "require", "127.0.0.1", CA, True),
        ("tls", "require", "127.0.0.1", OTHER, None),
        ("tls", "verify-ca", "127.0.0.1", CA, True),
        ("tls", "verify-ca", "127.0.0.1", OTHER, None),
        ("tls", "verify-full", "127.0.0.1", CA, None),
        ("tls", "verify-full", "localhost", CA, True),
        ("tls", "verify-full", "localhost", OTHER, None),
        ("tls", "verify-full", "localhost", None, None),
        ("tls", "verify-full", "localhost", ("sslrootcert", "nowhere.pem"), None),
        ("plain", "disable", "127.0.0.1", None, False),
        ("plain", "allow", "127.0.0.1", None, False),
        ("plain", "prefer", "127.0.0.1", None, False),
        ("plain", "require", "127.0.0.1", None, None),
    ],
)
def test_each_sslmode_means_what_libpq_means(
    secured: Secured,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    mode: str,
    host: str,
    root: tuple[str, str] | None,
    encrypted: bool | None,
) -> None:
    monkeypatch.setenv("HOME", str(secured.folder))
    files = [] if root is None else [secured.file(*root)]
    url = secured.url(user, f"sslmode={mode}", *files, host=host)
    if encrypted is not None:
        assert ask(url, ENCRYPTED) is encrypted
        return
    with pytest.raises(StoreError) as refusal:
        PostgresServer(url).migrate()
    assert PASSWORD not in str(refusal.value)
    assert quote(PASSWORD, safe="") not in str(refusal.value)
    assert ": ." not in str(refusal.value)


def test_the_cas_of_the_system_are_asked_for_by_name(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secured.url("tls", "sslmode=verify-full", "sslrootcert=system", host="localhost")
    with pytest.raises(StoreError, match="certificate verify failed"):
        PostgresServer(url).migrate()
    # OpenSSL's name for them.
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.folder / "ca.pem"))
    assert ask(url, ENCRYPTED) is True
    with pytest.raises(StoreError, match=r"(Hostname|IP address) mismatch"):
        PostgresServer(url.replace("localhost", "127.0.0.1")).migrate()


def test_a_client_certificate_with_an_encrypted_key_is_presented(secured: Secured) -> None:
    files = [secured.file("sslcert", "client.pem"), secured.file("sslkey", "client.key")]
    url = secured.url("certified", "sslmode=require", *files, "sslpassword=sesame")
    assert ask(url, "SELECT current_user") == "certified"
    with pytest.raises(OSError, match=r"."):
        ask(url.replace("sesame", "other"), ENCRYPTED)


def test_a_socket_several_hosts_options_and_a_name_are_taken(secured: Secured) -> None:
    folder, port = secured.postgres.folder, secured.postgres.port
    url = f"postgresql://postgres@:{port}/postgres?host={folder}"
    assert ask(url, "SELECT inet_server_addr()") is None
    url = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{port}/postgres?connect_timeout=5"
    assert ask(url, "SELECT inet_server_port()") == port
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    named = f"{url}?application_name=a%27b&options=-c%20search_path%3Dpg_catalog,public"
    assert ask(named, "SHOW application_name") == "a'b"
    assert ask(named, "SHOW search_path") == "pg_catalog,public"


def test_a_password_comes_from_a_file(secured: Secured, tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.touch(mode=0o600)
    secret = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"127.0.0.1:{secured.postgres.port}:*:owner:{secret}\n")
    url = f"postgresql://owner@127.0.0.1:{secured.postgres.port}/postgres?passfile={file}"
    assert ask(url, "SELECT current_user") == "owner"
    file.chmod(0o640)
    with pytest.raises(StoreError, match="others may read"):
        PostgresServer(url).migrate()
    with pytest.raises(StoreError, match=r"passfile: \S+nowhere cannot be read"):
        PostgresServer(url.replace(str(file), str(tmp_path / "nowhere"))).migrate()


def test_a_password_comes_from_the_environment(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://owner@127.0.0.1:{secured.postgres.port}/postgres"
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert ask(url, "SELECT current_user") == "owner"
    monkeypatch.setenv("PGPASSWORD", f"{PASSWORD}x")
    with pytest.raises(StoreError, match="password authentication failed"):
        PostgresServer(url).migrate()


def findings_of(url: str, tmp_path: Path) -> list[str]:
    (tmp_path / "var").mkdir(mode=0o700, exist_ok=True)
    settings = Settings(data_dir=tmp_path / "var", database_url=url)
    found = asyncio.run(examine(settings))
    return [f.detail for f in found if f.mark is Mark.BAD and f.subject == "PostgreSQL"]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused(
    secured: Secured, tmp_path: Path, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    kind = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    secured.postgres.ask(f"CREATE DATABASE {name} {kind}")
    url = secured.url("postgres", name=name)
    with pytest.raises(StoreError, match=f"is encoded in {encoding}"):
        PostgresServer(url).migrate()
    assert (
        secured.postgres.ask(
            "SELECT count(*) FROM pg_tables WHERE tablename = 'users'", database=name
        )
        == 0
    )
    (detail,) = findings_of(url, tmp_path)
    assert f"is encoded in {encoding}" in detail


def test_other_flaws_of_a_database_are_reported(secured: Secured, tmp_path: Path) -> None:
    for url, sentence in {
        secured.url("postgres", "options=-c%20search_path%3Dnowhere"): "leads to no schema",
        secured.url("owner"): "permission denied for schema public",
        secured.url("postgres", name="nowhere"): 'database "nowhere" does not exist',
        secured.url("nobody"): "password authentication failed",
        secured.url("postgres", "options=-c%20nowhere%3D1"): "unrecognized configuration parameter",
    }.items():
        with pytest.raises(StoreError, match=sentence) as refusal:
            PostgresServer(url).migrate()
        assert "\n" not in str(refusal.value)
