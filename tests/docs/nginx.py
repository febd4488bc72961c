"""Run nginx with an example of the documentation, on temporary ports and folders."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.needs import need

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PATH = f"{os.environ['PATH']}:/usr/sbin"
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"
# The configuration around the example, in a temporary folder.
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
    """Return the path of a program; skip or fail the test if it is missing."""
    path = shutil.which(program, path=PATH)
    need(path is not None, f"{program} is missing: apt-get install {package}")
    assert path is not None
    return path


@contextmanager
def running(folder: Path, example: str, changes: Mapping[str, str]) -> Iterator[None]:
    """Run nginx with an example, in which `changes` replace ports, hosts and paths."""
    program = found("nginx", "nginx")
    certify(folder)
    site = (EXAMPLES / example).read_text()
    for here, there in {
        r"listen \[::\].*\n": "",
        r"/etc/letsencrypt/live/[\w.]*example\.com": str(folder),
        **changes,
    }.items():
        site, times = re.subn(here, there, site)
        assert times, here
    (folder / "site.conf").write_text(site)
    # Otherwise the workers of root's nginx run as a user without access to the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    start = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    # The command returns when nginx listens.
    started = subprocess.run(start, capture_output=True, text=True, timeout=30, check=False)
    assert started.returncode == 0, started.stderr
    try:
        yield
    finally:
        subprocess.run([*start, "-s", "quit"], capture_output=True, timeout=30, check=True)


def certify(folder: Path) -> None:
    """Create a certificate under the examples' file names."""
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
    """Return an unused port."""
    with socket.create_server((PROXY, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Return as soon as a program listens."""
    deadline = monotonic() + 30
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection((PROXY, port), 5):
            return
        assert monotonic() < deadline, port
        sleep(0.02)


@contextmanager
def client_at(port: int, address: str = CLIENT) -> Iterator[httpx.Client]:
    """Open an HTTPS client with another address than the proxy's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    transport = httpx.HTTPTransport(verify=context, local_address=address)
    with httpx.Client(base_url=f"https://{PROXY}:{port}", transport=transport, timeout=30) as made:
        yield made
