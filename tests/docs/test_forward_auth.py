"""Test the forward auth example with nginx, a real Gatehouse, static files and an echo service."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.docs.nginx import CLIENT, EXAMPLES, PROXY, client_at, free_port, running
from tests.server_process import Server, serving

PASSWORD = "a lamp in the hall"
ELSEWHERE = "127.0.0.3"
PAGE = "<title>The manual</title>"
IDENTITY = ["x-gatehouse-user", "x-gatehouse-user-id", "x-gatehouse-username", "x-gatehouse-admin"]
OTHER_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

Fields = list[tuple[str, str]]


class Echo(BaseHTTPRequestHandler):
    """The service behind nginx, which returns the request that it received."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        received = {"method": self.command, "path": self.path, "body": body}
        answer = json.dumps({**received, "fields": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_DELETE = do_OPTIONS = do_GET

    def log_message(self, *_: object) -> None:
        """Suppress output to stderr."""


class StandIn(BaseHTTPRequestHandler):
    """A stand-in for Gatehouse that answers with one status and nothing else."""

    status = 500
    heard: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        self.heard.append((self.path, dict(self.headers.items())))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Suppress output to stderr."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with `handler` in a thread and return the address."""
    server = ThreadingHTTPServer((PROXY, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{PROXY}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=30)


@contextmanager
def guarded(folder: Path, verifier: str, service: str, **more: str) -> Iterator[int]:
    """Run nginx with the example and the changes `more`, in front of `service` and a page."""
    (folder / "manual").mkdir(parents=True)
    (folder / "manual" / "index.html").write_text(PAGE)
    port = free_port()
    changes = {
        "listen 443": f"listen {PROXY}:{port}",
        "127.0.0.1:8000": verifier,
        "127.0.0.1:9000": service,
        "/srv/www": str(folder),
        **more,
    }
    with running(folder, "forward-auth.conf", changes):
        yield port


@dataclass(frozen=True, slots=True)
class Site:
    """A guarded site, with a credential of every kind."""

    server: Server
    port: int
    client: httpx.Client
    credentials: dict[str, str] = field(default_factory=dict)

    def request(
        self, path: str, fields: Fields, method: str = "GET", **more: Any
    ) -> httpx.Response:
        """Send a request through nginx with the path unchanged."""
        target = {"target": path.encode()}
        return self.client.request(method, "/", headers=fields, extensions=target, **more)

    def echo(self, fields: Fields, path: str = "/", **more: Any) -> dict[str, Any]:
        """Return the request that reached the service."""
        answer = self.request(path, fields, **more)
        assert answer.status_code == 200, answer.text
        request: dict[str, Any] = answer.json()
        return request


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with listening(Echo) as address:
        yield address


@pytest.fixture(scope="module")
def site(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("forward")
    with serving(folder, GATEHOUSE_TRUSTED_PROXIES=PROXY) as server:
        verifier = server.greeting["url"].removeprefix("http://")
        with guarded(folder / "nginx", verifier, service) as port, client_at(port) as client:
            site = Site(server, port, client)
            create_credentials(site)
            yield site


def create_credentials(site: Site) -> None:
    """Create the credentials of the table."""
    credentials = site.credentials
    for name in ("user", "admin", "gone"):
        credentials[name] = sign_up(site.server, f"{name}name")
    change(site.server, "adminname", admin=1)
    for owner in ("user", "admin"):
        for scope in ("admin", "self", "read"):
            credentials[f"{owner}'s {scope} key"] = make_key(
                site.server, credentials[owner], scope=scope
            )
    credentials["key inside"] = make_key(site.server, credentials["user"], networks=[CLIENT])
    credentials["key outside"] = make_key(site.server, credentials["user"], networks=[ELSEWHERE])
    credentials["revoked key"] = make_key(site.server, credentials["admin"])
    headers = {"X-Access-Token": credentials["admin"]}
    path = f"/users/@self/keys/{credentials['revoked key'][:8]}"
    assert site.server.client.delete(path, headers=headers).status_code == 204
    change(site.server, "gonename", disabled=1)
    credentials["nonsense"] = "nonsense"


def sign_up(server: Server, username: str) -> str:
    """Create an account and return its token."""
    body = {"username": username, "password": PASSWORD}
    assert server.client.post("/users/@self", json=body).status_code == 201
    token: str = server.client.post("/users/auth", json=body).json()["token"]
    return token


def make_key(server: Server, token: str, **bounds: Any) -> str:
    """Create an access key and return it."""
    body = {"name": "test", **bounds}
    headers = {"X-Access-Token": token}
    key: str = server.client.post("/users/@self/keys", json=body, headers=headers).json()["key"]
    return key


def change(server: Server, username: str, **members: Any) -> None:
    """Change an account as the first admin."""
    headers = {"X-Access-Token": server.admin_key}
    found = server.client.get("/users", params={"username": username}, headers=headers)
    (uuid,) = found.json()
    path = f"/users/{uuid}"
    assert server.client.put(path, json=members, headers=headers).status_code == 204


def identity(request: dict[str, Any]) -> dict[str, list[str]]:
    """Return the identity headers of a request, for a service that ignores their spelling."""
    found: dict[str, list[str]] = {}
    for name, value in request["fields"]:
        plain = re.sub("[^a-z]", "-", name.lower())
        if "gatehouse" in plain:
            found.setdefault(plain, []).append(value)
    return found


# ------------------------------------------------------------------------ permissions

# A credential, and the statuses for the manual, the service, and a path below /admin.
TABLE = """
none                401 401 401
nonsense            401 401 401
gone                401 401 401
revoked key         401 401 401
key outside         401 401 401
key inside          200 200 403
user                200 200 403
user's admin key    200 200 403
user's self key     200 200 403
user's read key     200 403 403
admin               200 200 200
admin's admin key   200 200 200
admin's self key    200 200 403
admin's read key    200 403 403
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_each_credential_has_exactly_its_access(site: Site, line: str) -> None:
    who, statuses = line[:20].strip(), [int(status) for status in line[20:].split()]
    fields = [("Authorization", f"Bearer {site.credentials[who]}")] if who != "none" else []
    answers = [site.request(path, fields) for path in ("/manual/", "/notes", "/admin/users")]
    assert [answer.status_code for answer in answers] == statuses
    manual, *others = answers
    assert (manual.text == PAGE) is (manual.status_code == 200)
    assert manual.headers["Cache-Control"] == "private, no-cache"
    for answer in answers:
        challenge = 'Bearer realm="gatehouse"' if answer.status_code == 401 else None
        if challenge is not None and who != "none":
            challenge += ', error="invalid_token"'
        assert answer.headers.get("WWW-Authenticate") == challenge
    for answer in others:
        assert ("fields" in answer.text) is (answer.status_code == 200)


def test_the_service_gets_the_identity_and_never_the_credential(site: Site) -> None:
    for who, admin in (("user", "0"), ("admin", "1"), ("admin's self key", "0")):
        credential = site.credentials[who]
        fields = [("X-Access-Token", credential), ("Authorization", f"Bearer {credential}")]
        request = site.echo(fields)
        headers = {"X-Access-Token": credential}
        account = site.server.client.get("/users/@self", headers=headers).json()
        found = identity(request)
        assert re.fullmatch("[0-9a-f-]{36}", found.pop(IDENTITY[0])[0])
        assert found == dict(
            zip(IDENTITY[1:], ([account["id"]], [account["username"]], [admin]), strict=True)
        )
        assert credential not in json.dumps(request)


def test_a_non_ascii_name_is_percent_encoded(site: Site) -> None:
    request = site.echo([("X-Access-Token", sign_up(site.server, "灯夫灯夫"))])
    assert identity(request)["x-gatehouse-username"] == ["%E7%81%AF%E5%A4%AB%E7%81%AF%E5%A4%AB"]


# ---------------------------------------------------------------------------- spoofing

SPELLINGS = {
    "as it is": lambda name: [name.title()],
    "in lower case": lambda name: [name],
    "in upper case": lambda name: [name.upper()],
    "with underscores": lambda name: [name.title().replace("-", "_")],
    "with one underscore": lambda name: [name.replace("-", "_", 1), "_".join(name.rsplit("-", 1))],
    "with full stops": lambda name: [name.replace("-", ".")],
    "twice": lambda name: [name, name],
    "twice, in two spellings": lambda name: [name.title(), name.replace("-", "_")],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("value", [OTHER_UUID, "1", ""])
def test_clients_cannot_forge_the_identity(site: Site, spelling: str, value: str) -> None:
    credential = ("X-Access-Token", site.credentials["user"])
    pretended = [(name, value) for header in IDENTITY for name in SPELLINGS[spelling](header)]
    honest = identity(site.echo([credential]))
    assert identity(site.echo([*pretended, credential, *pretended])) == honest
    # Nor does a name of a header that is to be forgotten on the way.
    forgotten = ("Connection", f"close, {', '.join(IDENTITY)}, X-Access-Token")
    assert identity(site.echo([forgotten, *pretended, credential])) == honest
    assert site.request("/admin", [*pretended, credential]).status_code == 403
    assert site.request("/", pretended).status_code == 401


def test_forwarding_headers_of_a_client_have_no_effect(site: Site) -> None:
    key = ("X-Access-Token", site.credentials["key outside"])
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X_Forwarded_For"):
        assert site.request("/", [key, (name, ELSEWHERE)]).status_code == 401
    with client_at(site.port, ELSEWHERE) as client:
        assert client.get("/", headers=[key]).status_code == 200
    key = ("X-Access-Token", site.credentials["user's read key"])
    for name in ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override"):
        assert site.request("/", [key, (name, "GET")]).status_code == 403
    assert site.request("/?changes=0&admin=0", [key]).status_code == 403


def test_two_credentials_are_refused(site: Site) -> None:
    user, admin = site.credentials["user"], site.credentials["admin"]
    two: list[Fields] = [
        [("X-Access-Token", user), ("Authorization", f"Bearer {admin}")],
        [("Authorization", f"Bearer {user}"), ("Authorization", f"Bearer {admin}")],
    ]
    for fields in two:
        assert site.request("/admin", fields).status_code in {400, 401, 500}


@pytest.mark.parametrize(
    "path",
    [
        *("/admin", "/admin/", "/admin?x", "/admin/users", "/adminx", "/admin;x", "/admin/..;/x"),
        *("//admin", "/./admin", "/x/../admin", "/%61dmin", "/admin%2fusers", "/x/..%2fadmin"),
        *("/x/%2e%2e/admin", "/manual/../admin", "/manual/..%2fadmin", "/manual/%2e%2e/admin/x"),
        *("/_gatehouse/../admin", "/x/%2e%2e//admin%0a", "/admin%3fx", "/admin%23"),
    ],
)
def test_no_spelling_of_a_path_bypasses_its_guard(site: Site, path: str) -> None:
    for who, status in {"user": 403, "user's read key": 403, "nonsense": 401}.items():
        answer = site.request(path, [("X-Access-Token", site.credentials[who])])
        # nginx itself refuses a zero byte.
        assert answer.status_code == (400 if "%00" in path else status)


def test_the_service_gets_the_path_that_was_checked(site: Site) -> None:
    fields = [("X-Access-Token", site.credentials["user"])]
    for path, judged in {
        "/a%2fb": "/a/b",
        "/x/%2e%2e/n%C3%B6": "/n%C3%B6",
        "//a//b?q=%2f..": "/a/b?q=%2f..",
        "/admin/%2e%2e/x": "/x",
    }.items():
        assert site.echo(fields, path)["path"] == judged
    fields = [("X-Access-Token", site.credentials["admin"])]
    assert site.echo(fields, "/x/%2e%2e//admin%2fx;y?z")["path"] == "/admin/x;y?z"


@pytest.mark.parametrize("who", ["none", "admin"])
@pytest.mark.parametrize("path", ["user", "admin", "reader", ""])
def test_gatehouse_is_not_reachable_through_the_guarded_host(
    site: Site, who: str, path: str
) -> None:
    fields = [("X-Access-Token", site.credentials.get(who, ""))]
    assert site.request(f"/_gatehouse/{path}", fields).status_code == 404


def test_a_body_goes_to_the_service_and_not_to_gatehouse(site: Site) -> None:
    fields = [("X-Access-Token", site.credentials["user"]), ("Content-Type", "text/plain")]
    body = "x" * 500_000
    for content in (body, iter([body.encode()])):
        request = site.echo(fields, "/notes", method="POST", content=content)
        assert (request["method"], request["path"], request["body"]) == ("POST", "/notes", body)
    refused = site.request("/notes", fields[1:], method="POST", content=body)
    assert refused.status_code == 401


PAGE_ORIGIN = "https://app.example.com"
PREFLIGHT = [
    ("Origin", PAGE_ORIGIN),
    ("Access-Control-Request-Method", "PUT"),
    ("Access-Control-Request-Headers", "authorization"),
]


@pytest.mark.parametrize("path", ["/", "/notes?a=b", "/admin", "/manual/index.html"])
def test_a_preflight_reaches_the_service_as_a_preflight_and_nothing_else(
    site: Site, path: str
) -> None:
    more = [
        *((name, "forged") for name in IDENTITY),
        *(("X-HTTP-Method-Override", "POST"), ("X-Access-Token", site.credentials["user"])),
        ("Authorization", f"Bearer {site.credentials['user']}"),
    ]
    request = site.echo([*PREFLIGHT, *more], path, method="OPTIONS", content=b"{}")
    assert (request["method"], request["path"], request["body"]) == ("OPTIONS", path, "")
    reached = {name.lower(): value for name, value in request["fields"]}
    assert {*reached} == {
        *("host", "connection", "x-forwarded-for", "origin"),
        *("access-control-request-method", "access-control-request-headers"),
    }
    assert reached["origin"] == PAGE_ORIGIN


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("OPTIONS", []),
        ("OPTIONS", PREFLIGHT[:1]),
        ("OPTIONS", PREFLIGHT[1:]),
        ("OPTIONS", [("Origin", "https://evil.example.com"), *PREFLIGHT[1:]]),
        ("OPTIONS", [("Origin", f"{PAGE_ORIGIN}.evil.example"), *PREFLIGHT[1:]]),
        ("OPTIONS", [PREFLIGHT[0], ("Access-Control-Request-Method", "a b")]),
        ("GET", PREFLIGHT),
        ("POST", PREFLIGHT),
        ("DELETE", PREFLIGHT),
    ],
)
def test_anything_but_a_preflight_of_a_listed_page_requires_an_account(
    site: Site, method: str, fields: Fields
) -> None:
    for path in ("/", "/admin", "/manual/index.html"):
        assert site.request(path, fields, method=method).status_code == 401


def test_a_proxy_can_declare_by_the_method_that_nothing_changes(
    site: Site, service: str, tmp_path: Path
) -> None:
    page = (EXAMPLES.parent / "forward-auth.md").read_text("utf-8")
    block = re.search(r"```nginx\n(map .*)\n#.*\n(proxy_pass .*)\n```", page)
    assert block is not None
    more = {"^": f"{block[1]}\n", "proxy_pass http://verifier/auth/verify;": block[2]}
    verifier = site.server.greeting["url"].removeprefix("http://")
    fields = [("X-Access-Token", site.credentials["user's read key"]), ("X-Original-Method", "GET")]
    with (
        guarded(tmp_path / "nginx", verifier, service, **more) as port,
        client_at(port) as client,
    ):
        statuses = {
            method: client.request(method, "/notes", headers=fields).status_code
            for method in ("GET", "POST", "DELETE", "PROPFIND")
        }
    assert statuses == {"GET": 200, "POST": 403, "DELETE": 403, "PROPFIND": 403}


# ---------------------------------------------------------------- revocation


def test_an_ended_credential_is_refused_at_the_next_request(site: Site) -> None:
    token = sign_up(site.server, "passerby")
    key = make_key(site.server, token)
    ends = {key: f"/users/@self/keys/{key[:8]}", token: "/users/@self/sessions/@current"}
    for credential, end in ends.items():
        fields, asked = [("X-Access-Token", credential)], ("/manual/", "/")
        assert [site.request(path, fields).status_code for path in asked] == [200, 200]
        ended = site.server.client.delete(end, headers={"X-Access-Token": token})
        assert ended.status_code == 204
        assert [site.request(path, fields).status_code for path in asked] == [401, 401]


def test_a_demoted_admin_is_refused_at_the_next_request(site: Site) -> None:
    fields = [("X-Access-Token", sign_up(site.server, "risenone"))]
    for admin, status in ((0, 403), (1, 200), (0, 403)):
        change(site.server, "risenone", admin=admin)
        assert site.request("/admin", fields).status_code == status
        assert identity(site.echo(fields))["x-gatehouse-admin"] == [str(admin)]


# -------------------------------------------------------------------- Gatehouse unavailable


def test_without_gatehouse_every_request_is_refused(service: str, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        fields = [("X-Access-Token", server.admin_key)]
        verifier = server.greeting["url"].removeprefix("http://")
        with (
            guarded(tmp_path / "nginx", verifier, service) as port,
            client_at(port) as client,
        ):
            paths = ("/manual/", "/", "/admin")
            statuses = [[client.get(p, headers=fields).status_code for p in paths]]
            server.process.kill()
            server.process.wait()
            statuses += [[client.get(p, headers=fields).status_code for p in paths]]
    assert statuses == [[200] * 3, [500] * 3]


def test_only_a_successful_response_allows_a_request(service: str, tmp_path: Path) -> None:
    expected = {302: 500, 304: 500, 400: 500, 401: 401, 403: 403, 404: 500, 429: 500, 503: 500}
    with (
        listening(StandIn) as verifier,
        guarded(tmp_path / "nginx", verifier, service) as port,
        client_at(port) as client,
    ):
        found = {}
        for StandIn.status in expected:
            found[StandIn.status] = client.get("/").status_code
        assert found == expected
        StandIn.heard.clear()
        sent = [("Authorization", "Bearer mine"), ("Cookie", "a=b"), ("X-Request-ID", "mine")]
        client.post("/admin?changes=0", headers=sent, content=b"body")
        ((path, heard),) = StandIn.heard
        # Forged headers are removed even if a successful response has no identity.
        StandIn.status = 204
        pretended = [(name, OTHER_UUID) for name in IDENTITY]
        request = client.get("/", headers=pretended).json()
    assert identity(request) == {}
    assert path == "/auth/verify?admin=1"
    assert re.fullmatch("[0-9a-f]{32}", heard.pop("X-Request-ID"))
    assert heard == {
        "Host": "verifier",
        "Authorization": "Bearer mine",
        "X-Forwarded-For": CLIENT,
    }
