"""A public URL with a path, behind nginx and Caddy that keep the path or strip it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.docs.nginx import EXAMPLES, PROXY, client_at, found, free_port, running, wait_for_port
from tests.server_process import Server, serving

BASE = "/id"
BROWSER = {"Accept": "text/html"}
NUMBERS = count(1)
LOGIN = {"username": "lamplighter", "password": "a lamp in the hall"}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"PUBLIC_URL": f"https://example.com{BASE}", "PORT": str(port)}
    given = {f"GATEHOUSE_{name}": value for name, value in settings.items()}
    folder = tmp_path_factory.mktemp("behind")
    with serving(folder, GATEHOUSE_TRUSTED_PROXIES=PROXY, **given) as started:
        yield started


@contextmanager
def behind_nginx(folder: Path, server_port: int, target: str) -> Iterator[httpx.Client]:
    port = free_port()
    changes = {
        "listen 443": f"listen {PROXY}:{port}",
        "127.0.0.1:8000": f"{PROXY}:{server_port}",
        "proxy_pass http://gatehouse;": f"proxy_pass {target};",
    }
    with running(folder, "nginx-path.conf", changes), client_at(port) as client:
        yield client


@contextmanager
def behind_caddy(folder: Path, server_port: int, directive: str) -> Iterator[httpx.Client]:
    program, port = found("caddy", "caddy"), free_port()
    site = (EXAMPLES / "Caddyfile-path").read_text()
    for here, there in {
        "example.com {": f"http://{PROXY}:{port} {{",
        "127.0.0.1:8000": f"{PROXY}:{server_port}",
        "handle /id/*": directive,
    }.items():
        assert site.count(here) == 1
        site = site.replace(here, there)
    file = folder / "Caddyfile"
    file.write_text(f"{{\n\tadmin off\n}}\n{site}")
    start = [program, "run", "--adapter", "caddyfile", "--config", str(file)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(start, stderr=log, env={"HOME": str(folder)})
        try:
            wait_for_port(port)
            transport = httpx.HTTPTransport(local_address="127.0.0.2")
            url = f"http://{PROXY}:{port}"
            with httpx.Client(base_url=url, transport=transport, timeout=30) as client:
                yield client
        finally:
            process.terminate()
            process.wait(timeout=30)


# What replaces the line of the example that decides what the proxy does with the path.
PROXIES = {
    "nginx": (behind_nginx, "http://gatehouse"),
    "nginx-stripping": (behind_nginx, "http://gatehouse/"),
    "caddy": (behind_caddy, "handle /id/*"),
    "caddy-stripping": (behind_caddy, "handle_path /id/*"),
}


@pytest.fixture(scope="module", params=PROXIES)
def client(
    request: pytest.FixtureRequest,
    server: Server,
    port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    assert server.process.poll() is None
    open_proxy, line = PROXIES[request.param]
    with ExitStack() as closing:
        yield closing.enter_context(open_proxy(tmp_path_factory.mktemp(request.param), port, line))


def test_every_page_and_its_files_are_there(client: httpx.Client) -> None:
    seen = set()
    for page in ("/", "/docs", "/rpc/docs", "/handbook/"):
        response = client.get(f"{BASE}{page}", headers=BROWSER)
        assert response.status_code == 200, response.text
        seen |= set(re.findall(r'(?:src|href)="(/[^"#]*)"', response.text))
    assert {f"{BASE}/docs/rpc.js", f"{BASE}/openapi.json", f"{BASE}/handbook/"} <= seen
    for link in seen:
        assert client.get(link).status_code == 200, link


def test_without_its_slash_the_front_page_is_found(client: httpx.Client) -> None:
    response = client.get(BASE, headers=BROWSER)
    while response.is_redirect:
        to = httpx.URL(response.headers["location"]).path
        assert to == f"{BASE}/"
        response = client.get(to, headers=BROWSER)
    assert (response.status_code, "<h1>Gatehouse" in response.text) == (200, True)


def test_every_link_of_an_answer_can_be_followed(client: httpx.Client, server: Server) -> None:
    admin = {"X-Access-Token": server.admin_key}
    name = f"lamp{next(NUMBERS)}"
    body = {"username": name, "email": f"{name}@example.com"}
    made = client.post(f"{BASE}/users", json=body, headers=admin)
    found = client.get(made.headers["location"], headers=admin)
    assert found.json()["username"] == name
    page = client.get(f"{BASE}/api/users?limit=1", headers=admin)
    following = page.links["next"]["url"]
    assert following.startswith(f"{BASE}/api/users?")
    assert client.get(following, headers=admin).status_code == 200
    missing = client.get(f"{BASE}/usrs").json()
    assert missing["detail"].endswith(f"The nearest is {BASE}/users.")
    assert client.get(missing["type"]).status_code == 200
    assert client.head(f"{BASE}/users/admin").status_code == 204


def test_the_login_of_the_documents_works(client: httpx.Client, server: Server) -> None:
    client.post(f"{BASE}/users/@self", json=LOGIN)
    document = client.get(f"{BASE}/openapi.json").json()
    flow = document["components"]["securitySchemes"]["login"]["flows"]["password"]
    token = client.post(flow["tokenUrl"], data=LOGIN).json()["access_token"]
    url = httpx.URL(client.get(f"{BASE}/rpc/openrpc.json").json()["servers"][0]["url"])
    call = {"jsonrpc": "2.0", "method": "sessions.list", "auth": token, "id": 1}
    for _ in range(2):
        sessions = client.post(url.path, json=call).json()["result"]
        assert {session["address"] for session in sessions} == {"127.0.0.2"}


def test_the_site_beside_it_is_the_proxys(client: httpx.Client) -> None:
    for path in ("/users", "/idusers", "/docs"):
        response = client.get(path)
        assert response.status_code == 404
        assert "application/problem+json" not in response.headers.get("content-type", "")
