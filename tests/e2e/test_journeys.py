"""A new user's first hour, on a real server."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here
from tests.postgres import new_database
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The working directory of server and commands; its `.env` names the database."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "sqlite":
        yield folder
        return
    with new_database() as url:
        (folder / ".env").write_text(f"GATEHOUSE_DATABASE_URL={url}\n")
        yield folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as started:
        # Read once: a later start has no first key to tell.
        assert started.admin_key
        yield started


def call(server: Server, method: str, auth: str | None = None, **params: Any) -> Any:
    body = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
    return server.client.post("/rpc", json=body).json()


def key(server: Server) -> dict[str, str]:
    return {"X-Access-Token": server.admin_key}


def test_a_chat_user_made_at_one_api_is_the_panels_user_at_the_other(server: Server) -> None:
    made = call(server, "users.create", username="journey", password=PASSWORD)["result"]
    found = server.client.get("/api/users", params={"user_id": made["id"]}, headers=key(server))
    (uuid, user), *_ = found.json().items()
    assert user["username"] == "journey"
    assert server.client.delete(f"/users/{uuid}", headers=key(server)).status_code == 204
    refused = call(server, "users.auth", username="journey", password=PASSWORD)["error"]
    sentence = "This account is disabled; ask an admin to enable it."
    assert refused == {"code": -32603, "message": "内部错误", "data": sentence}


def test_a_panel_user_logs_in_at_rpc(server: Server) -> None:
    body = {"username": "panelist", "email": "panelist@example.com", "password": "rawPassword1"}
    made = server.client.post("/users", json=body, headers=key(server))
    assert (made.status_code, made.content) == (204, b"")
    login = call(server, "users.auth", username="PANELIST", password="rawPassword1")["result"]
    me = server.client.get("/users/@self", headers={"Authorization": f"Bearer {login['token']}"})
    assert me.json()["id"] == login["user_id"]


def test_a_race_for_one_name_has_one_winner(server: Server) -> None:
    def sign_up(_: int) -> dict[str, Any]:
        reply: dict[str, Any] = call(
            server, "users.create", username="contested", password=PASSWORD
        )
        return reply

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(sign_up, range(8)))
    losers = [reply["error"]["data"] for reply in replies if "error" in reply]
    assert losers == ["User with username contested already exists"] * 7


def test_changes_by_the_command_line_apply_to_the_server_at_once(
    server: Server, folder: Path
) -> None:
    call(server, "users.create", username="commanded", password=PASSWORD)
    token = call(server, "users.auth", username="commanded", password=PASSWORD)["result"]["token"]
    assert "result" in call(server, "users.self", token)
    assert run_here(folder, "users", "disable", "commanded").status == 0
    assert "error" in call(server, "users.self", token)
    assert run_here(folder, "users", "enable", "commanded").status == 0
    raw_key = run_here(folder, "keys", "create", "commanded").out.strip()
    assert call(server, "users.self", raw_key)["result"]["username"] == "commanded"
    assert run_here(folder, "keys", "revoke", raw_key[:8]).status == 0
    assert "error" in call(server, "users.self", raw_key)


def test_rotating_the_signing_key_logs_no_user_out(server: Server, folder: Path) -> None:
    call(server, "users.create", username="rotated", password=PASSWORD)
    before = call(server, "users.auth", username="rotated", password=PASSWORD)["result"]["token"]
    kid, _, _ = run_here(folder, "signing-keys", "rotate").out.partition("\t")
    after = call(server, "users.auth", username="rotated", password=PASSWORD)["result"]["token"]
    for token in (before, after):
        assert call(server, "users.self", token)["result"]["username"] == "rotated"
    published = server.client.get("/.well-known/jwks.json").json()["keys"]
    assert kid in {key["kid"] for key in published}
    assert len(published) == 2


def test_every_line_of_the_log_is_json_even_of_what_is_not_http(server: Server) -> None:
    port = int(server.greeting["url"].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"no HTTP at all\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 400")
    written = server.log.until("The request is not valid HTTP/1.1.")
    lines = [json.loads(line) for line in written.splitlines()]
    (refused,) = (line for line in lines if "reason" in line)
    assert (refused["status"], refused["address"]) == (400, "127.0.0.1")


def test_the_log_is_json_and_holds_no_secret(server: Server) -> None:
    secret = "a canary in a coal mine"
    call(server, "users.create", username="canary", password=secret)
    token = call(server, "users.auth", username="canary", password=secret)["result"]["token"]
    server.client.get("/users/@self?canary", headers={"Authorization": f"Bearer {token}"})
    asked = server.client.get("/nowhere/canary")
    log = server.log.until(asked.headers["X-Request-ID"])
    assert '"event":"request"' in log
    for word in (secret, token, server.admin_key):
        assert word not in log
