"""Test the example files of the documentation with nginx and systemd."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.nginx import CLIENT, EXAMPLES, PROXY, client_at, found, free_port, running
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


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = found("systemd-analyze", "systemd")
    # systemd-analyze requires that the command exists.
    ours = str(Path(sys.prefix) / "bin" / "gatehouse")
    unit = (EXAMPLES / "gatehouse.service").read_text()
    assert "/opt/gatehouse/.venv/bin/gatehouse" in unit
    path = tmp_path / "gatehouse.service"
    path.write_text(unit.replace("/opt/gatehouse/.venv/bin/gatehouse", ours))
    for question in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        judged = subprocess.run(
            [program, *question, "--no-pager", str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (judged.returncode, judged.stderr) == (0, ""), judged.stdout
