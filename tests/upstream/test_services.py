"""A chat service and a panel in every mood: a refusal of the catalogue, soon, at little cost."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
import respx
from structlog.testing import capture_logs

from app.domain.errors import DomainError, Overloaded, UpstreamFailed, UpstreamTimeout
from app.domain.readings import Watched
from app.upstream.answers import Answers
from tests.fakes.ports import FakeSeconds
from tests.upstream import services as s

pytestmark = pytest.mark.anyio

Question = Callable[[s.Houses], Awaitable[Any]]
GOOD = json.dumps([s.GUILD]).encode()
MANY = json.dumps([s.GUILD] * 1500).encode()


def chat(houses: s.Houses) -> Awaitable[Any]:
    return houses.chat.guilds_of(s.USER_ID)


def panel(houses: s.Houses) -> Awaitable[Any]:
    return houses.panel.servers_of(s.UUID)


def panel_now(houses: s.Houses) -> Awaitable[Any]:
    return houses.panel.look_up_servers(s.UUID)


def stopping(houses: s.Houses) -> Awaitable[Any]:
    return houses.panel.stop_servers(s.UUID, [s.UUID])


def pterodactyl(houses: s.Houses) -> Awaitable[Any]:
    return houses.pterodactyl.servers_of(s.UUID)


QUESTIONS = {
    "chat": (chat, s.GUILDS_URL),
    "panel": (panel, s.SERVERS_URL),
    "panel now": (panel_now, s.SERVERS_URL),
    "stopping": (stopping, s.SERVERS_URL),
    "pterodactyl": (pterodactyl, s.EXTERNAL_URL),
}


@pytest.fixture
async def houses() -> AsyncIterator[s.Houses]:
    async with s.houses() as opened:
        yield opened


@pytest.fixture
def service() -> Iterator[respx.Route]:
    """Where the chat service is asked for the guilds."""
    with respx.mock:
        yield respx.get(s.GUILDS_URL).respond(json=[s.GUILD])


async def _forever(_: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


class Dripping(httpx.AsyncByteStream):
    """Never long without a byte, and never done."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.001)


class Huge(httpx.AsyncByteStream):
    """A little more than is taken, then no more is asked for."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(s.BYTES_MAX // 1000 + 1):
            yield b" " * 1000
        raise AssertionError("read on beyond its bound")


def _packed(coding: str, body: bytes) -> httpx.Response:
    stream = httpx.ByteStream(body)
    return httpx.Response(200, headers={"Content-Encoding": coding}, stream=stream)


def _answers(body: bytes, status: int = 200) -> dict[str, Any]:
    return {"return_value": httpx.Response(status, content=body)}


FAILED, SLOW = UpstreamFailed, UpstreamTimeout
MOODS: dict[str, tuple[type[DomainError], dict[str, Any]]] = {
    "silent": (SLOW, {"side_effect": _forever}),
    "a byte at a time": (SLOW, {"return_value": httpx.Response(200, stream=Dripping())}),
    "not reached in time": (SLOW, {"side_effect": httpx.ConnectTimeout("unreachable")}),
    "silent in the middle": (SLOW, {"side_effect": httpx.ReadTimeout("silence")}),
    "down": (FAILED, {"side_effect": httpx.ConnectError("refused")}),
    "hanging up": (FAILED, {"side_effect": httpx.RemoteProtocolError("closed")}),
    "reset": (FAILED, {"side_effect": httpx.ReadError("reset")}),
    "no network": (FAILED, {"side_effect": OSError("no route")}),
    "failing": (FAILED, _answers(GOOD, 500)),
    "a bad gateway": (FAILED, _answers(GOOD, 502)),
    "starting": (FAILED, _answers(GOOD, 503)),
    "a gateway timeout": (FAILED, _answers(GOOD, 504)),
    "locked to us": (FAILED, _answers(GOOD, 401)),
    "refusing": (FAILED, _answers(GOOD, 429)),
    "elsewhere": (FAILED, _answers(b"<h1>Not Found</h1>", 404)),
    "another 404": (FAILED, _answers(b'{"code": "not-found", "errors": []}', 404)),
    "partial": (FAILED, _answers(GOOD, 206)),
    "huge": (FAILED, {"return_value": httpx.Response(200, stream=Huge())}),
    "a bomb": (FAILED, {"return_value": _packed("gzip", gzip.compress(b" " * 10_000_000))}),
    "packed": (FAILED, {"return_value": _packed("GZIP", gzip.compress(GOOD))}),
    "packed unsaid": (FAILED, _answers(gzip.compress(GOOD))),
    "a page": (FAILED, _answers(b"<p>Please log in</p>")),
    "nothing": (FAILED, _answers(b"")),
    "half": (FAILED, _answers(GOOD[:-1])),
    "broken utf-8": (FAILED, _answers(GOOD.replace(b"Builders", b"\xff\xfe"))),
    "a surrogate": (FAILED, _answers(GOOD.replace(b"Builders", b"\\ud800"))),
    "a control character": (FAILED, _answers(GOOD.replace(b"Builders", b"\\u0000"))),
    "not a number": (FAILED, _answers(GOOD.replace(b"null", b"NaN"))),
    "nested": (FAILED, _answers(b"[" * 50_000 + b"]" * 50_000)),
    "too many": (FAILED, _answers(MANY)),
}

# What it does to one account it does to all of them, as far as anybody can tell.
ABOUT_ALL = {
    "silent",
    "a byte at a time",
    "not reached in time",
    "silent in the middle",
    "down",
    "hanging up",
    "reset",
    "no network",
    "a bad gateway",
    "starting",
    "a gateway timeout",
}
STUCK: dict[str, dict[str, Any]] = {
    "failing": _answers(b"", 500),
    "its machine is down": _answers(b"", 504),
    "silent": {"side_effect": httpx.ReadTimeout("silence")},
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS.keys())
async def test_what_it_does_is_a_refusal_and_the_log_says_why_without_the_secret(
    houses: s.Houses,
    question: tuple[Question, str],
    mood: tuple[type[DomainError], dict[str, Any]],
) -> None:
    ask, url = question
    error, answers = mood
    with respx.mock, capture_logs() as log:
        respx.get(url).mock(**answers)
        with pytest.raises(error) as refusal:
            await ask(houses)
    (line,) = log
    assert line["event"] == "another service failed"
    assert line["reason"]
    assert s.TOKEN not in f"{log} {refusal.value!r} {refusal.value.__context__!r}"


async def test_a_redirect_is_not_followed(houses: s.Houses, service: respx.Route) -> None:
    elsewhere = respx.get("http://127.0.0.1/").respond(json=[s.GUILD])
    for status in (301, 302, 307, 308):
        service.respond(status, headers={"Location": "http://127.0.0.1/"})
        with pytest.raises(UpstreamFailed):
            await chat(houses)
    assert not elsewhere.called


async def test_each_service_is_sent_its_own_secret_and_what_it_is_to_send(
    houses: s.Houses, service: respx.Route
) -> None:
    await chat(houses)
    headers = service.calls.last.request.headers
    assert headers["Authorization"] == f"Bearer {s.TOKEN}"
    assert (headers["Accept"], headers["Accept-Encoding"]) == ("application/json", "identity")
    assert s.TOKEN not in f"{houses.chat!r} {vars(houses.chat)}"


async def test_an_account_that_it_does_not_know_has_nothing(
    houses: s.Houses, service: respx.Route
) -> None:
    service.respond(404, json={"code": "user-not-found", "detail": "…"})
    respx.get(s.SERVERS_URL).respond(404, json={"code": "user-not-found"})
    assert not (await houses.chat.guilds_of(s.USER_ID)).value
    assert not (await houses.panel.servers_of(s.UUID)).value


# ------------------------------------------------------------------- how much it may cost


async def test_who_asks_beyond_the_bound_is_told_at_once_and_the_others_in_time() -> None:
    async with s.houses(at_once=3, seconds=0.5) as houses:
        with respx.mock:
            respx.get(url__startswith=s.CHAT_URL).mock(side_effect=_forever)
            asking = (chat_of(houses, n) for n in range(1, 6))
            heard = await asyncio.gather(*asking, return_exceptions=True)
            told = {dict(one.labels)["outcome"]: one.value for one in houses.chat.readings()}
    assert [type(one) for one in heard] == [UpstreamTimeout] * 3 + [Overloaded] * 2
    assert (told["timeout"], told["busy"]) == (3, 2)


async def chat_of(houses: s.Houses, user_id: int) -> Any:
    return await houses.chat.guilds_of(user_id)


async def test_of_many_who_ask_the_same_at_once_one_is_passed_on(
    houses: s.Houses, service: respx.Route
) -> None:
    told = await asyncio.gather(*(chat(houses) for _ in range(50)))
    assert service.call_count == 1
    assert len({str(one) for one in told}) == 1


async def test_all_of_them_hear_of_a_failure_and_the_log_once(
    houses: s.Houses, service: respx.Route
) -> None:
    service.respond(503)
    with capture_logs() as log:
        heard = await asyncio.gather(*(chat(houses) for _ in range(20)), return_exceptions=True)
    assert len(log) == 1
    assert {type(one) for one in heard} == {UpstreamFailed}
    assert service.call_count == 1


async def test_who_goes_away_leaves_the_answer_to_the_others(
    houses: s.Houses, service: respx.Route
) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def later(_: httpx.Request) -> httpx.Response:
        is_asked.set()
        await may_answer.wait()
        return httpx.Response(200, json=[s.GUILD])

    service.mock(side_effect=later)
    first = asyncio.create_task(chat_of(houses, s.USER_ID))
    second = asyncio.create_task(chat_of(houses, s.USER_ID))
    await is_asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    may_answer.set()
    assert len((await second).value) == 1
    assert service.call_count == 1


async def test_after_five_failures_running_it_is_left_alone_and_one_tries_after_a_pause(
    houses: s.Houses, service: respx.Route
) -> None:
    service.respond(503)
    with capture_logs() as log:
        for _ in range(8):
            with pytest.raises(UpstreamFailed):
                await chat(houses)
    assert service.call_count == len(log) == 5
    houses.seconds.turn(10)
    many = [chat_of(houses, n) for n in range(1, 9)]
    respx.get(url__startswith=s.CHAT_URL).respond(503)
    await asyncio.gather(*many, return_exceptions=True)
    assert respx.calls.call_count == 6
    houses.seconds.turn(10)
    service.respond(json=[s.GUILD])
    assert (await houses.chat.guilds_of(s.USER_ID)).overdue is None


@pytest.mark.parametrize("mood", sorted(ABOUT_ALL))
async def test_what_is_said_of_all_accounts_closes_it_to_everybody(
    houses: s.Houses, service: respx.Route, mood: str
) -> None:
    error, answers = MOODS[mood]
    service.mock(**answers)
    other = respx.get(f"{s.CHAT_URL}/users/7/guilds").respond(json=[])
    for _ in range(5):
        with pytest.raises(error):
            await chat(houses)
    with pytest.raises(UpstreamFailed):
        await houses.chat.guilds_of(7)
    assert not other.called


@pytest.mark.parametrize("mood", sorted(MOODS.keys() - ABOUT_ALL))
async def test_a_bad_answer_about_one_account_closes_it_to_nobody(
    houses: s.Houses, service: respx.Route, mood: str
) -> None:
    service.mock(**MOODS[mood][1])
    respx.get(f"{s.CHAT_URL}/users/7/guilds").respond(json=[])
    for _ in range(10):
        with pytest.raises(UpstreamFailed):
            await chat(houses)
    assert (await houses.chat.guilds_of(7)).value == ()


async def test_a_bad_answer_after_the_pause_lets_everybody_ask_again(
    houses: s.Houses, service: respx.Route
) -> None:
    service.respond(503)
    for _ in range(5):
        with pytest.raises(UpstreamFailed):
            await chat(houses)
    respx.get(f"{s.CHAT_URL}/users/7/guilds").respond(json=[])
    service.respond(500)
    houses.seconds.turn(10)
    with pytest.raises(UpstreamFailed):
        await chat(houses)
    assert (await houses.chat.guilds_of(7)).value == ()


@pytest.mark.parametrize("answers", STUCK.values(), ids=STUCK.keys())
async def test_servers_that_cannot_be_stopped_close_the_panel_to_nobody(
    houses: s.Houses, answers: dict[str, Any]
) -> None:
    uuids = [f"{s.UUID[:-2]}{number:02}" for number in range(8)]
    with respx.mock:
        listed = [{"uuid": uuid, "active": 1} for uuid in uuids]
        respx.get(s.SERVERS_URL).respond(json=listed)
        last = respx.post(f"{s.PANEL_URL}/servers/{uuids[-1]}/stop").respond(204)
        respx.post(url__startswith=f"{s.PANEL_URL}/servers/").mock(**answers)
        with pytest.raises(DomainError):
            await houses.panel.stop_servers(s.UUID, uuids)
        assert last.called
        assert len(await houses.panel.look_up_servers(s.UUID)) == 8


async def test_what_becomes_of_the_questions_is_counted(
    houses: s.Houses, service: respx.Route
) -> None:
    def counted(part: Watched) -> dict[str, float]:
        read = [(dict(found.labels), found.value) for found in part.readings()]
        return {labels["outcome"]: value for labels, value in read if value}

    await chat(houses)
    houses.seconds.turn(10)
    for status in (500, *[503] * 6):
        service.respond(status)
        await chat(houses)
    assert counted(houses.chat) == {"ok": 1, "refused": 1, "failed": 5, "skipped": 1}
    for part, url in ((houses.panel, s.SERVERS_URL), (houses.pterodactyl, s.EXTERNAL_URL)):
        respx.get(url).mock(side_effect=httpx.ReadTimeout("silence"))
        with pytest.raises(UpstreamTimeout):
            await part.servers_of(s.UUID)
        assert counted(part) == {"timeout": 1}


# --------------------------------------------------------------------- what is kept of it


async def test_what_was_told_is_told_again_for_ten_seconds(
    houses: s.Houses, service: respx.Route
) -> None:
    await chat(houses)
    houses.seconds.turn(9.9)
    assert (await houses.chat.guilds_of(s.USER_ID)).overdue is None
    assert service.call_count == 1
    houses.seconds.turn(0.1)
    service.respond(json=[])
    assert (await houses.chat.guilds_of(s.USER_ID)).value == ()
    assert service.call_count == 2


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS.keys())
async def test_for_an_hour_what_it_said_last_is_shown_as_what_it_is(
    houses: s.Houses, service: respx.Route, mood: tuple[type[DomainError], dict[str, Any]]
) -> None:
    fresh = (await houses.chat.guilds_of(s.USER_ID)).value
    error, answers = mood
    service.mock(**answers)
    houses.seconds.turn(130)
    told = await houses.chat.guilds_of(s.USER_ID)
    assert (told.value, told.overdue) == (fresh, 120)
    houses.seconds.turn(3500)
    with pytest.raises(error):
        await chat(houses)


async def test_while_it_is_left_alone_the_old_is_shown_at_once(
    houses: s.Houses, service: respx.Route
) -> None:
    await chat(houses)
    houses.seconds.turn(20)
    service.respond(503)
    for _ in range(8):
        assert (await houses.chat.guilds_of(s.USER_ID)).overdue == 10
    assert service.call_count == 6


async def test_more_than_is_kept_drops_what_was_asked_first() -> None:
    asked: list[str] = []

    async def ask(subject: str) -> list[int]:
        asked.append(subject)
        return [0] * 4

    answers = Answers("test", ask, FakeSeconds(), most=12)
    for subject in ("a", "b", "c", "b", "c", "a", "c"):
        await answers.of(subject)
    assert asked == ["a", "b", "c", "a"]


async def test_what_is_looked_up_to_decide_by_was_never_kept(
    houses: s.Houses, service: respx.Route
) -> None:
    servers = respx.get(s.SERVERS_URL).respond(json=[s.SERVER])
    await panel(houses)
    servers.respond(json=[s.OTHER])
    (found,) = await houses.panel.look_up_servers(s.UUID)
    assert found.uuid == s.OTHER["uuid"]
    servers.respond(503)
    with pytest.raises(UpstreamFailed):
        await panel_now(houses)
