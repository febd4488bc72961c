"""The example files of the documentation, given to the programs that they are for."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.needs import need
from tests.server import Server, serving

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PATH = f"{os.environ['PATH']}:/usr/sbin"
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"
# What the example leaves to the file that includes it, in a folder of its own.
AROUND = """\
{user}
daemon on;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    gzip_min_length 1;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def found(program: str, package: str) -> str:
    path = shutil.which(program, path=PATH)
    need(path is not None, f"{program} is not here: apt-get install {package}")
    assert path is not None
    return path


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
    """The ports of nginx, instead of the example's 80 and 443."""
    program = found("nginx", "nginx")
    folder = tmp_path_factory.mktemp("nginx")
    certify(folder)
    ports = {scheme: free_port() for scheme in ("http", "https")}
    site = (EXAMPLES / "nginx.conf").read_text()
    for here, there in {
        r"listen \[::\].*\n": "",
        "listen 80": f"listen {PROXY}:{ports['http']}",
        "listen 443": f"listen {PROXY}:{ports['https']}",
        "/etc/letsencrypt/live/id.example.com": str(folder),
        "127.0.0.1:8000": server.greeting["url"].removeprefix("http://"),
    }.items():
        site, times = re.subn(here, there, site)
        assert times
    (folder / "site.conf").write_text(site)
    # Else root's nginx works as somebody who must not look into the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    start = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    # It returns when it listens.
    started = subprocess.run(start, capture_output=True, text=True, timeout=30, check=False)
    assert started.returncode == 0, started.stderr
    yield ports
    subprocess.run([*start, "-s", "quit"], capture_output=True, timeout=30, check=True)


def certify(folder: Path) -> None:
    """A certificate for the example's host, under the example's file names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "id.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def free_port() -> int:
    with socket.create_server((PROXY, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def client(nginx: dict[str, int]) -> Iterator[httpx.Client]:
    """Somebody who is not at the proxy's address."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    transport = httpx.HTTPTransport(verify=context, local_address=CLIENT)
    url = f"https://{PROXY}:{nginx['https']}"
    with httpx.Client(base_url=url, transport=transport, timeout=30) as made:
        yield made


def test_behind_nginx_a_client_has_the_address_that_nginx_saw(client: httpx.Client) -> None:
    pretended = {"X-Forwarded-For": "203.0.113.9"}
    body = {"username": "lamplighter", "password": "a lamp in the hall"}
    token = client.post("/users/auth", json=body, headers=pretended).json()["token"]
    headers = {"Authorization": f"Bearer {token}", **pretended}
    sessions = client.get("/users/@self/sessions", headers=headers).json()
    assert {session["address"] for session in sessions} == {CLIENT}


def test_behind_nginx_a_request_has_the_id_that_nginx_gave_it(client: httpx.Client) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": "mine"})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_behind_nginx_entity_tags_stay_strong(client: httpx.Client, server: Server) -> None:
    headers = {"X-Access-Token": server.admin_key, "Accept-Encoding": "gzip"}
    uuid = next(iter(client.get("/users", headers=headers).json()))
    assert client.get(f"/users/{uuid}", headers=headers).headers["ETag"].startswith('"')


def test_behind_nginx_it_is_gatehouse_that_refuses_a_large_body(client: httpx.Client) -> None:
    body = {"username": "x" * 1024 * 1024}
    refused = client.post("/users/auth", json=body)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload-too-large")


def test_nginx_sends_whoever_comes_without_encryption_to_https(nginx: dict[str, int]) -> None:
    answer = httpx.post(f"http://{PROXY}:{nginx['http']}/rpc?errors=problem", trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://{PROXY}/rpc?errors=problem"


# -------------------------------------------------------------------------- systemd


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = found("systemd-analyze", "systemd")
    # The judge looks whether the command is there.
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
