"""Test the example files of the documentation with nginx, systemd and PostgreSQL."""

import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import copyfile

import httpx
import pytest

from app.storage.postgresql.store import PostgresServer
from tests.commands import run_here
from tests.docs.nginx import CLIENT, EXAMPLES, PROXY, client_at, found, free_port, running
from tests.postgres import new_database
from tests.server_process import Server, serving

# ---------------------------------------------------------------------------- nginx


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("behind")
    with serving(folder, GATEHOUSE_TRUSTED_PROXIES=PROXY) as started:
        body = {"username": "lamplighter", "password": "a lamp in the hall"}
        assert started.client.post("/users/@self", json=body).status_code == 201
        yield started


@pytest.fixture(scope="module")
def nginx(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Return the ports of nginx that replace the example's 80 and 443."""
    ports = {scheme: free_port() for scheme in ("http", "https")}
    changes = {
        "listen 80": f"listen {PROXY}:{ports['http']}",
        "listen 443": f"listen {PROXY}:{ports['https']}",
        "127.0.0.1:8000": server.greeting["url"].removeprefix("http://"),
    }
    with running(tmp_path_factory.mktemp("nginx"), "nginx.conf", changes):
        yield ports


@pytest.fixture
def client(nginx: dict[str, int]) -> Iterator[httpx.Client]:
    """Return a client with another address than the proxy's."""
    with client_at(nginx["https"]) as made:
        yield made


def test_behind_nginx_a_client_has_the_address_of_its_connection(client: httpx.Client) -> None:
    pretended = {"X-Forwarded-For": "203.0.113.9"}
    body = {"username": "lamplighter", "password": "a lamp in the hall"}
    token = client.post("/users/auth", json=body, headers=pretended).json()["token"]
    headers = {"Authorization": f"Bearer {token}", **pretended}
    sessions = client.get("/users/@self/sessions", headers=headers).json()
    assert {session["address"] for session in sessions} == {CLIENT}


def test_behind_nginx_a_request_has_the_id_of_nginx(client: httpx.Client) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": "mine"})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_behind_nginx_entity_tags_stay_strong(client: httpx.Client, server: Server) -> None:
    headers = {"X-Access-Token": server.admin_key, "Accept-Encoding": "gzip"}
    uuid = next(iter(client.get("/users", headers=headers).json()))
    assert client.get(f"/users/{uuid}", headers=headers).headers["ETag"].startswith('"')


def test_behind_nginx_gatehouse_refuses_a_large_body(client: httpx.Client) -> None:
    body = {"username": "x" * 1024 * 1024}
    refused = client.post("/users/auth", json=body)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload-too-large")


def test_nginx_redirects_http_to_https(nginx: dict[str, int]) -> None:
    answer = httpx.post(f"http://{PROXY}:{nginx['http']}/rpc?errors=problem", trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://{PROXY}/rpc?errors=problem"


# -------------------------------------------------------------------------- systemd


# The path of the program in the examples. systemd-analyze requires that it exists.
PROGRAM = "/opt/gatehouse/.venv/bin/gatehouse"
OURS = str(Path(sys.prefix) / "bin" / "gatehouse")


@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("gatehouse.service", (["verify"], ["security", "--offline=true", "--threshold=20"])),
        (
            "gatehouse-backup.service",
            (["verify"], ["security", "--offline=true", "--threshold=15"]),
        ),
        ("gatehouse-backup.timer", (["verify"],)),
    ],
)
def test_systemd_accepts_the_unit(
    tmp_path: Path, name: str, questions: Sequence[list[str]]
) -> None:
    for unit in EXAMPLES.glob("gatehouse*.[st]*"):
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, OURS))
    for question in questions:
        judged = subprocess.run(
            [found("systemd-analyze", "systemd"), *question, "--no-pager", str(tmp_path / name)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (judged.returncode, judged.stderr) == (0, ""), judged.stdout


def test_the_services_run_commands_that_exist(tmp_path: Path, migrated: Path) -> None:
    (serve,) = commands_of("gatehouse.service")
    assert serve == f"{PROGRAM} serve"
    (command,) = commands_of("gatehouse-backup.service")
    folder = tmp_path / "backups"
    folder.mkdir()
    (tmp_path / "var").mkdir(mode=0o700)
    copyfile(migrated, tmp_path / "var" / "gatehouse.sqlite3")
    arguments = command.replace("/var/backups/gatehouse", str(folder)).split()[1:]
    done = run_here(tmp_path, *arguments)
    assert (done.status, done.err, len([*folder.iterdir()])) == (0, "", 1)


def commands_of(unit: str) -> list[str]:
    return re.findall("^ExecStart=(.+)$", (EXAMPLES / unit).read_text(), re.MULTILINE)


# ----------------------------------------------------------------------- PostgreSQL


def test_the_script_deletes_dumps_only_after_it_has_read_the_new_one(tmp_path: Path) -> None:
    names = [f"gatehouse-2026010{day}T030000Z.dump" for day in (1, 2, 3)]
    for name in (*names, "gatehouse-mine.dump"):
        (tmp_path / name).write_text("earlier")
    with new_database() as url:
        PostgresServer(url).migrate()
        failed = back_up_postgresql(tmp_path, url + "_gone", 1)
        assert (failed.returncode, failed.stdout) == (1, "")
        assert len([*tmp_path.iterdir()]) == 4
        done = back_up_postgresql(tmp_path, url, 2)
    assert (done.returncode, done.stderr) == (0, "")
    made, *deleted = done.stdout.splitlines()
    assert deleted == [f"{tmp_path / name}: deleted" for name in reversed(names[:2])]
    assert {*tmp_path.iterdir()} == {
        Path(made),
        tmp_path / names[2],
        tmp_path / "gatehouse-mine.dump",
    }
    assert stat.S_IMODE(Path(made).stat().st_mode) == 0o600


def back_up_postgresql(folder: Path, url: str, keep: int) -> "subprocess.CompletedProcess[str]":
    for tool in ("pg_dump", "pg_restore"):
        found(tool, "postgresql-client")
    return subprocess.run(
        ["sh", str(EXAMPLES / "backup-postgresql.sh"), url, str(folder), str(keep)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
