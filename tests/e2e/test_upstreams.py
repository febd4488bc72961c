"""A real server and a misbehaving chat service: errors come soon, other requests go on."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from bench.misbehaving import GOOD, GUILD, MOODS
from bench.upstream import Pair, misbehaving
from tests.server_process import Server, run, serving

PASSWORD = "correct horse battery"
SECRET = "secret-of-the-chat-service"
# A slow machine may take its time; a request that waits for the service would never end.
SOON_MS = 15_000


@pytest.fixture(scope="module")
def chat() -> Iterator[int]:
    with misbehaving() as port:
        yield port


def settings_of(chat: int) -> dict[str, str]:
    return {
        "GATEHOUSE_CHAT_URL": f"http://127.0.0.1:{chat}",
        "GATEHOUSE_CHAT_TOKEN": SECRET,
        "GATEHOUSE_RATE_LIMITS": "off",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(chat: int, folder: Path) -> Iterator[Server]:
    with serving(folder, **settings_of(chat)) as opened:
        yield opened


def token_of(client: httpx.Client, username: str) -> str:
    account = {"username": username, "password": PASSWORD}
    assert client.post("/users/@self", json=account).status_code == 201
    return str(client.post("/users/auth", json=account).json()["token"])


@pytest.fixture(scope="module")
def pair(server: Server, chat: int) -> Pair:
    tokens = [token_of(server.client, username) for username in ("alice", "victim")]
    return Pair(server.client.base_url.port or 0, chat, tokens)


@pytest.mark.parametrize("mood", [mood for mood in MOODS if mood != GOOD])
def test_whatever_it_does_the_caller_gets_an_error_soon_and_others_go_on(
    pair: Pair, server: Server, mood: str
) -> None:
    _, status, slug = MOODS[mood]
    pair.set_mood(mood)
    seen = pair.guilds()
    assert (seen.status, seen.slug) == (status, slug)
    assert seen.ms < SOON_MS
    assert pair.measure_self(0.05)


def test_at_rpc_it_is_the_same_and_the_log_has_the_reason_without_the_secret(
    pair: Pair, server: Server
) -> None:
    token = token_of(server.client, "chatter")
    pair.set_mood("sends a gzip bomb")
    call = {"jsonrpc": "2.0", "method": "users.guilds", "auth": token, "id": 1}
    reply = server.client.post("/rpc?errors=problem", json=call).json()
    assert reply["error"]["data"]["code"] == "upstream-failed"
    log = server.log.until("the response has a content coding")
    assert SECRET not in log + repr(server.greeting)


def test_its_guilds_get_through(pair: Pair, server: Server) -> None:
    token = token_of(server.client, "builder")
    pair.set_mood(GOOD)
    response = server.client.get("/users/@self/guilds", headers={"X-Access-Token": token})
    assert response.json() == [GUILD]


def test_a_service_that_is_gone_is_a_failure_and_no_fault(tmp_path: Path) -> None:
    with serving(tmp_path, **settings_of(1)) as server:
        headers = {"X-Access-Token": token_of(server.client, "alice")}
        seen = [server.client.get("/users/@self/guilds", headers=headers) for _ in range(7)]
        assert {response.status_code for response in seen} == {502}
        assert all(one.json()["code"] == other.json()["code"] for one, other in pairwise(seen))


def test_the_doctor_says_whether_it_answers(
    pair: Pair, server: Server, chat: int, folder: Path
) -> None:
    for mood, said in ((GOOD, "ok "), ("redirects to loopback", "BAD")):
        pair.set_mood(mood)
        done = run(folder, "doctor", **settings_of(chat))
        (line,) = (line for line in done.out.splitlines() if "chat service" in line)
        assert line.startswith(said)
        assert SECRET not in done.out + done.err
