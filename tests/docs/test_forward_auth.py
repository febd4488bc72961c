"""The example of forward auth: nginx, a real Gatehouse, static files and a service that echoes."""

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
from tests.server import Server, serving

PASSWORD = "a lamp in the hall"
ELSEWHERE = "127.0.0.3"
PAGE = "<title>The manual</title>"
OURS = ["x-gatehouse-user", "x-gatehouse-user-id", "x-gatehouse-username", "x-gatehouse-admin"]
BOSS = "0f8fad5b-d9cb-469f-a165-70867728950e"

Fields = list[tuple[str, str]]


class Echo(BaseHTTPRequestHandler):
    """The service behind nginx: it answers with what reached it."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = {"method": self.command, "path": self.path, "body": body}
        answer = json.dumps({**said, "fields": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


class Verdict(BaseHTTPRequestHandler):
    """Whatever listens where Gatehouse should: it answers with one status and nothing else."""

    status = 500
    heard: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        self.heard.append((self.path, dict(self.headers.items())))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Where it listens."""
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
    """The port of nginx as the example has it, but for `more`: before `service` and a page."""
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
    """Everything there is, and somebody of every kind."""

    server: Server
    port: int
    client: httpx.Client
    people: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, fields: Fields, method: str = "GET", **more: Any) -> httpx.Response:
        """A request through nginx, whose path goes out as it is written."""
        target = {"target": path.encode()}
        return self.client.request(method, "/", headers=fields, extensions=target, **more)

    def told(self, fields: Fields, path: str = "/", **more: Any) -> dict[str, Any]:
        """What reached the service."""
        answer = self.ask(path, fields, **more)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


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
            invite(site)
            yield site


def invite(site: Site) -> None:
    """Let everybody come whom the table has."""
    people = site.people
    for name in ("user", "admin", "gone"):
        people[name] = sign_up(site.server, f"{name}name")
    change(site.server, "adminname", admin=1)
    for owner in ("user", "admin"):
        for scope in ("admin", "self", "read"):
            people[f"{owner}'s {scope} key"] = make_key(site.server, people[owner], scope=scope)
    people["key inside"] = make_key(site.server, people["user"], networks=[CLIENT])
    people["key outside"] = make_key(site.server, people["user"], networks=[ELSEWHERE])
    people["revoked key"] = make_key(site.server, people["admin"])
    headers = {"X-Access-Token": people["admin"]}
    path = f"/users/@self/keys/{people['revoked key'][:8]}"
    assert site.server.client.delete(path, headers=headers).status_code == 204
    change(site.server, "gonename", disabled=1)
    people["nonsense"] = "nonsense"


def sign_up(server: Server, username: str) -> str:
    """A new account's token."""
    body = {"username": username, "password": PASSWORD}
    assert server.client.post("/users/@self", json=body).status_code == 201
    token: str = server.client.post("/users/auth", json=body).json()["token"]
    return token


def make_key(server: Server, token: str, **bounds: Any) -> str:
    """A new key of an account."""
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


def ours(told: dict[str, Any]) -> dict[str, list[str]]:
    """What of the identity reached the service, as one that sees no difference in spelling."""
    found: dict[str, list[str]] = {}
    for name, value in told["fields"]:
        plain = re.sub("[^a-z]", "-", name.lower())
        if "gatehouse" in plain:
            found.setdefault(plain, []).append(value)
    return found


# ------------------------------------------------------------------------ who comes in

# Whoever asks, and what comes of it: at the manual, at the service, below /admin.
TABLE = """
nobody              401 401 401
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
def test_the_right_people_come_in_and_nobody_else(site: Site, line: str) -> None:
    who, statuses = line[:20].strip(), [int(status) for status in line[20:].split()]
    fields = [("Authorization", f"Bearer {site.people[who]}")] if who != "nobody" else []
    answers = [site.ask(path, fields) for path in ("/manual/", "/notes", "/admin/users")]
    assert [answer.status_code for answer in answers] == statuses
    manual, *others = answers
    assert (manual.text == PAGE) is (manual.status_code == 200)
    assert manual.headers["Cache-Control"] == "private, no-cache"
    for answer in answers:
        challenge = answer.headers.get("WWW-Authenticate")
        assert challenge == ('Bearer realm="gatehouse"' if answer.status_code == 401 else None)
    for answer in others:
        assert ("fields" in answer.text) is (answer.status_code == 200)


def test_the_service_is_told_who_it_is_and_never_with_which_credential(site: Site) -> None:
    for who, admin in (("user", "0"), ("admin", "1"), ("admin's self key", "0")):
        credential = site.people[who]
        fields = [("X-Access-Token", credential), ("Authorization", f"Bearer {credential}")]
        told = site.told(fields)
        headers = {"X-Access-Token": credential}
        account = site.server.client.get("/users/@self", headers=headers).json()
        found = ours(told)
        assert re.fullmatch("[0-9a-f-]{36}", found.pop(OURS[0])[0])
        assert found == dict(
            zip(OURS[1:], ([account["id"]], [account["username"]], [admin]), strict=True)
        )
        assert credential not in json.dumps(told)


def test_a_name_in_other_letters_arrives_percent_encoded(site: Site) -> None:
    told = site.told([("X-Access-Token", sign_up(site.server, "灯夫灯夫"))])
    assert ours(told)["x-gatehouse-username"] == ["%E7%81%AF%E5%A4%AB%E7%81%AF%E5%A4%AB"]


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
@pytest.mark.parametrize("value", [BOSS, "1", ""])
def test_nothing_that_a_client_sends_passes_for_the_identity(
    site: Site, spelling: str, value: str
) -> None:
    credential = ("X-Access-Token", site.people["user"])
    pretended = [(name, value) for header in OURS for name in SPELLINGS[spelling](header)]
    honest = ours(site.told([credential]))
    assert ours(site.told([*pretended, credential, *pretended])) == honest
    # Nor does a name of a header that is to be forgotten on the way.
    forgotten = ("Connection", f"close, {', '.join(OURS)}, X-Access-Token")
    assert ours(site.told([forgotten, *pretended, credential])) == honest
    assert site.ask("/admin", [*pretended, credential]).status_code == 403
    assert site.ask("/", pretended).status_code == 401


def test_what_a_client_says_of_his_address_or_of_the_request_changes_nothing(site: Site) -> None:
    key = ("X-Access-Token", site.people["key outside"])
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X_Forwarded_For"):
        assert site.ask("/", [key, (name, ELSEWHERE)]).status_code == 401
    with client_at(site.port, ELSEWHERE) as client:
        assert client.get("/", headers=[key]).status_code == 200
    key = ("X-Access-Token", site.people["user's read key"])
    for name in ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override"):
        assert site.ask("/", [key, (name, "GET")]).status_code == 403
    assert site.ask("/?changes=0&admin=0", [key]).status_code == 403


def test_of_two_credentials_none_lets_anybody_in(site: Site) -> None:
    user, admin = site.people["user"], site.people["admin"]
    two: list[Fields] = [
        [("X-Access-Token", user), ("Authorization", f"Bearer {admin}")],
        [("Authorization", f"Bearer {user}"), ("Authorization", f"Bearer {admin}")],
    ]
    for fields in two:
        assert site.ask("/admin", fields).status_code in {400, 401, 500}


@pytest.mark.parametrize(
    "path",
    [
        *("/admin", "/admin/", "/admin?x", "/admin/users", "/adminx", "/admin;x", "/admin/..;/x"),
        *("//admin", "/./admin", "/x/../admin", "/%61dmin", "/admin%2fusers", "/x/..%2fadmin"),
        *("/x/%2e%2e/admin", "/manual/../admin", "/manual/..%2fadmin", "/manual/%2e%2e/admin/x"),
        *("/_gatehouse/../admin", "/x/%2e%2e//admin%0a", "/admin%3fx", "/admin%23"),
    ],
)
def test_no_way_of_writing_a_path_leads_past_its_guard(site: Site, path: str) -> None:
    for who, status in {"user": 403, "user's read key": 403, "nonsense": 401}.items():
        answer = site.ask(path, [("X-Access-Token", site.people[who])])
        # nginx itself refuses a zero byte.
        assert answer.status_code == (400 if "%00" in path else status)


def test_the_service_gets_the_path_that_was_judged(site: Site) -> None:
    fields = [("X-Access-Token", site.people["user"])]
    for path, judged in {
        "/a%2fb": "/a/b",
        "/x/%2e%2e/n%C3%B6": "/n%C3%B6",
        "//a//b?q=%2f..": "/a/b?q=%2f..",
        "/admin/%2e%2e/x": "/x",
    }.items():
        assert site.told(fields, path)["path"] == judged
    fields = [("X-Access-Token", site.people["admin"])]
    assert site.told(fields, "/x/%2e%2e//admin%2fx;y?z")["path"] == "/admin/x;y?z"


@pytest.mark.parametrize("who", ["nobody", "admin"])
@pytest.mark.parametrize("path", ["user", "admin", "reader", ""])
def test_nobody_asks_gatehouse_through_the_guarded_host(site: Site, who: str, path: str) -> None:
    fields = [("X-Access-Token", site.people.get(who, ""))]
    assert site.ask(f"/_gatehouse/{path}", fields).status_code == 404


def test_a_body_goes_to_the_service_and_not_to_gatehouse(site: Site) -> None:
    fields = [("X-Access-Token", site.people["user"]), ("Content-Type", "text/plain")]
    body = "x" * 500_000
    for content in (body, iter([body.encode()])):
        told = site.told(fields, "/notes", method="POST", content=content)
        assert (told["method"], told["path"], told["body"]) == ("POST", "/notes", body)
    refused = site.ask("/notes", fields[1:], method="POST", content=body)
    assert refused.status_code == 401


def test_a_proxy_can_tell_by_the_method_what_changes_nothing(
    site: Site, service: str, tmp_path: Path
) -> None:
    page = (EXAMPLES.parent / "forward-auth.md").read_text("utf-8")
    block = re.search(r"```nginx\n(map .*)\n#.*\n(proxy_pass .*)\n```", page)
    assert block is not None
    more = {"^": f"{block[1]}\n", "proxy_pass http://verifier/auth/verify;": block[2]}
    verifier = site.server.greeting["url"].removeprefix("http://")
    fields = [("X-Access-Token", site.people["user's read key"]), ("X-Original-Method", "GET")]
    with (
        guarded(tmp_path / "nginx", verifier, service, **more) as port,
        client_at(port) as client,
    ):
        statuses = {
            method: client.request(method, "/notes", headers=fields).status_code
            for method in ("GET", "POST", "DELETE", "PROPFIND")
        }
    assert statuses == {"GET": 200, "POST": 403, "DELETE": 403, "PROPFIND": 403}


# ---------------------------------------------------------------- from one moment to the next


def test_what_ends_ends_at_the_next_request(site: Site) -> None:
    token = sign_up(site.server, "passerby")
    key = make_key(site.server, token)
    ends = {key: f"/users/@self/keys/{key[:8]}", token: "/users/@self/sessions/@current"}
    for credential, end in ends.items():
        fields, asked = [("X-Access-Token", credential)], ("/manual/", "/")
        assert [site.ask(path, fields).status_code for path in asked] == [200, 200]
        ended = site.server.client.delete(end, headers={"X-Access-Token": token})
        assert ended.status_code == 204
        assert [site.ask(path, fields).status_code for path in asked] == [401, 401]


def test_a_demoted_admin_is_out_of_the_admins_part_at_the_next_request(site: Site) -> None:
    fields = [("X-Access-Token", sign_up(site.server, "risenone"))]
    for admin, status in ((0, 403), (1, 200), (0, 403)):
        change(site.server, "risenone", admin=admin)
        assert site.ask("/admin", fields).status_code == status
        assert ours(site.told(fields))["x-gatehouse-admin"] == [str(admin)]


# -------------------------------------------------------------------- Gatehouse out of order


def test_without_gatehouse_nobody_comes_in(service: str, tmp_path: Path) -> None:
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


def test_no_answer_but_a_yes_lets_anybody_in(service: str, tmp_path: Path) -> None:
    expected = {302: 500, 304: 500, 400: 500, 401: 401, 403: 403, 404: 500, 429: 500, 503: 500}
    with (
        listening(Verdict) as verifier,
        guarded(tmp_path / "nginx", verifier, service) as port,
        client_at(port) as client,
    ):
        found = {}
        for Verdict.status in expected:
            found[Verdict.status] = client.get("/").status_code
        assert found == expected
        Verdict.heard.clear()
        sent = [("Authorization", "Bearer mine"), ("Cookie", "a=b"), ("X-Request-ID", "mine")]
        client.post("/admin?changes=0", headers=sent, content=b"body")
        ((path, heard),) = Verdict.heard
        # Even a yes that does not say who it is leaves nothing of what the client pretends.
        Verdict.status = 204
        pretended = [(name, BOSS) for name in OURS]
        told = client.get("/", headers=pretended).json()
    assert ours(told) == {}
    assert path == "/auth/verify?admin=1"
    assert re.fullmatch("[0-9a-f]{32}", heard.pop("X-Request-ID"))
    assert heard == {
        "Host": "verifier",
        "Authorization": "Bearer mine",
        "X-Forwarded-For": CLIENT,
    }
