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
from app.domain.measurements import Measurable
from app.upstream.client import SUSPECTS_MAX, CircuitBreaker
from app.upstream.stale_cache import StaleCache
from tests.fakes.ports import FakeSeconds
from tests.upstream import services as s

pytestmark = pytest.mark.anyio

Question = Callable[[s.Upstreams], Awaitable[Any]]
GOOD = json.dumps([s.GUILD]).encode()
MANY = json.dumps([s.GUILD] * 1500).encode()


def chat(upstreams: s.Upstreams) -> Awaitable[Any]:
    return upstreams.chat.list_guilds(s.USER_ID)


def panel(upstreams: s.Upstreams) -> Awaitable[Any]:
    return upstreams.panel.list_servers(s.UUID)


def panel_now(upstreams: s.Upstreams) -> Awaitable[Any]:
    return upstreams.panel.fetch_servers(s.UUID)


def stopping(upstreams: s.Upstreams) -> Awaitable[Any]:
    return upstreams.panel.stop_servers(s.UUID, [s.UUID])


def pterodactyl(upstreams: s.Upstreams) -> Awaitable[Any]:
    return upstreams.pterodactyl.list_servers(s.UUID)


QUESTIONS = {
    "chat": (chat, s.GUILDS_URL),
    "panel": (panel, s.SERVERS_URL),
    "panel now": (panel_now, s.SERVERS_URL),
    "stopping": (stopping, s.SERVERS_URL),
    "pterodactyl": (pterodactyl, s.EXTERNAL_URL),
}


@pytest.fixture
async def upstreams() -> AsyncIterator[s.Upstreams]:
    async with s.upstreams() as opened:
        yield opened


@pytest.fixture
def service() -> Iterator[respx.Route]:
    """The chat service's route for guilds."""
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
# And of these it is so without a doubt: there is no connection, whatever is to be asked.
UNREACHABLE = {"not reached in time", "down", "no network"}
STUCK: dict[str, dict[str, Any]] = {
    "failing": _answers(b"", 500),
    "its machine is down": _answers(b"", 504),
    "silent": {"side_effect": httpx.ReadTimeout("silence")},
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS.keys())
async def test_a_failure_is_an_error_and_the_log_has_the_reason_without_the_secret(
    upstreams: s.Upstreams,
    question: tuple[Question, str],
    mood: tuple[type[DomainError], dict[str, Any]],
) -> None:
    ask, url = question
    error, answers = mood
    with respx.mock, capture_logs() as log:
        respx.get(url).mock(**answers)
        with pytest.raises(error) as refusal:
            await ask(upstreams)
    (line,) = log
    assert line["event"] == "upstream request failed"
    assert line["reason"]
    assert s.TOKEN not in f"{log} {refusal.value!r} {refusal.value.__context__!r}"


async def test_a_redirect_is_not_followed(upstreams: s.Upstreams, service: respx.Route) -> None:
    elsewhere = respx.get("http://127.0.0.1/").respond(json=[s.GUILD])
    for status in (301, 302, 307, 308):
        service.respond(status, headers={"Location": "http://127.0.0.1/"})
        with pytest.raises(UpstreamFailed):
            await chat(upstreams)
    assert not elsewhere.called


async def test_each_service_is_sent_its_own_secret_and_what_it_is_to_send(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    await chat(upstreams)
    headers = service.calls.last.request.headers
    assert headers["Authorization"] == f"Bearer {s.TOKEN}"
    assert (headers["Accept"], headers["Accept-Encoding"]) == ("application/json", "identity")
    assert s.TOKEN not in f"{upstreams.chat!r} {vars(upstreams.chat)}"


async def test_an_account_that_it_does_not_know_has_nothing(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    service.respond(404, json={"code": "user-not-found", "detail": "…"})
    respx.get(s.SERVERS_URL).respond(404, json={"code": "user-not-found"})
    assert not (await upstreams.chat.list_guilds(s.USER_ID)).value
    assert not (await upstreams.panel.list_servers(s.UUID)).value


# ------------------------------------------------------------------- how much it may cost


async def test_requests_beyond_the_bound_fail_at_once_and_the_others_succeed() -> None:
    async with s.upstreams(at_once=3, seconds=0.5) as upstreams:
        with respx.mock:
            respx.get(url__startswith=s.CHAT_URL).mock(side_effect=_forever)
            asking = (chat_of(upstreams, n) for n in range(1, 6))
            heard = await asyncio.gather(*asking, return_exceptions=True)
            told = {dict(one.labels)["outcome"]: one.value for one in upstreams.chat.measurements()}
    assert [type(one) for one in heard] == [UpstreamTimeout] * 3 + [Overloaded] * 2
    assert (told["timeout"], told["busy"]) == (3, 2)


async def chat_of(upstreams: s.Upstreams, user_id: int) -> Any:
    return await upstreams.chat.list_guilds(user_id)


async def test_of_many_who_ask_the_same_at_once_one_is_passed_on(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    told = await asyncio.gather(*(chat(upstreams) for _ in range(50)))
    assert service.call_count == 1
    assert len({str(one) for one in told}) == 1


async def test_all_of_them_hear_of_a_failure_and_the_log_once(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    service.respond(503)
    with capture_logs() as log:
        heard = await asyncio.gather(*(chat(upstreams) for _ in range(20)), return_exceptions=True)
    assert len(log) == 1
    assert {type(one) for one in heard} == {UpstreamFailed}
    assert service.call_count == 1


async def test_a_cancelled_request_leaves_the_response_to_the_others(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def later(_: httpx.Request) -> httpx.Response:
        is_asked.set()
        await may_answer.wait()
        return httpx.Response(200, json=[s.GUILD])

    service.mock(side_effect=later)
    first = asyncio.create_task(chat_of(upstreams, s.USER_ID))
    second = asyncio.create_task(chat_of(upstreams, s.USER_ID))
    await is_asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    may_answer.set()
    assert len((await second).value) == 1
    assert service.call_count == 1


async def fail(
    upstreams: s.Upstreams, *subjects: int, answers: dict[str, Any] | None = None
) -> None:
    """Ask about each of these accounts, and hear of a failure."""
    for subject in subjects:
        url = f"{s.CHAT_URL}/users/{subject}/guilds"
        respx.get(url).mock(**(answers or _answers(b"", 503)))
        with pytest.raises(DomainError):
            await upstreams.chat.list_guilds(subject)


def asked(subject: int) -> int:
    """Return the number of requests about the account."""
    path = f"/internal/users/{subject}/guilds"
    return sum(call.request.url.path == path for call in respx.calls)


async def test_after_failures_about_three_accounts_it_is_left_alone_and_one_tries_after_a_pause(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    with capture_logs() as log:
        await fail(upstreams, *range(1, 9))
    assert respx.calls.call_count == len(log) == 3
    upstreams.seconds.turn(10)
    many = [chat_of(upstreams, n) for n in range(11, 19)]
    respx.get(url__startswith=s.CHAT_URL).respond(503)
    await asyncio.gather(*many, return_exceptions=True)
    assert respx.calls.call_count == 4
    upstreams.seconds.turn(10)
    service.respond(json=[s.GUILD])
    assert (await upstreams.chat.list_guilds(s.USER_ID)).stale_seconds is None


@pytest.mark.parametrize("mood", sorted(ABOUT_ALL))
async def test_failures_of_three_accounts_open_the_circuit_for_all(
    upstreams: s.Upstreams, service: respx.Route, mood: str
) -> None:
    await fail(upstreams, 1, 2, 3, answers=MOODS[mood][1])
    with pytest.raises(UpstreamFailed):
        await chat(upstreams)
    assert not service.called


@pytest.mark.parametrize("mood", sorted(ABOUT_ALL - UNREACHABLE))
async def test_repeated_failures_of_one_account_open_the_circuit_for_no_other(
    upstreams: s.Upstreams, service: respx.Route, mood: str
) -> None:
    """Nor do hanging responses of two accounts; no other account is affected."""
    with capture_logs() as log:
        for _ in range(6):
            await fail(upstreams, 1, 2, answers=MOODS[mood][1])
    # Each was asked: what is not asked is not logged.
    assert len(log) == 12
    assert len((await upstreams.chat.list_guilds(s.USER_ID)).value) == 1


@pytest.mark.parametrize("mood", sorted(UNREACHABLE))
async def test_a_refused_connection_opens_the_circuit_for_every_account(
    upstreams: s.Upstreams, service: respx.Route, mood: str
) -> None:
    await fail(upstreams, *[1] * 5, answers=MOODS[mood][1])
    with pytest.raises(UpstreamFailed):
        await chat(upstreams)
    assert (asked(1), service.called) == (5, False)


async def test_an_account_that_failed_lately_is_not_the_trial(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    await fail(upstreams, 1, 2, 3)
    upstreams.seconds.turn(10)
    await fail(upstreams, 1, 2, 3, 1)
    assert respx.calls.call_count == 3
    assert len((await upstreams.chat.list_guilds(s.USER_ID)).value) == 1
    assert service.call_count == 1


async def test_without_other_requests_a_failing_account_is_the_trial_after_a_pause(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    await fail(upstreams, 1, 2, 3)
    upstreams.seconds.turn(19.9)
    await fail(upstreams, 1)
    assert asked(1) == 1
    upstreams.seconds.turn(0.1)
    respx.get(f"{s.CHAT_URL}/users/1/guilds").respond(json=[s.GUILD])
    assert len((await upstreams.chat.list_guilds(1)).value) == 1


async def test_accounts_that_failed_lately_do_not_close_it_again(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    """Or three slow accounts in a loop would close it for a pause, over and over."""
    await fail(upstreams, 1, 2, 3)
    upstreams.seconds.turn(10)
    await chat(upstreams)
    for _ in range(3):
        await fail(upstreams, 1, 2, 3)
    upstreams.seconds.turn(10)
    await chat(upstreams)
    assert service.call_count == 2


def test_a_subject_counts_again_once_it_was_answered_or_its_failure_is_old() -> None:
    seconds = FakeSeconds()
    breaker = CircuitBreaker(failures=99, pause=10.0, seconds=seconds)

    def is_open_after(*subjects: str) -> bool:
        for subject in subjects:
            breaker.record_failure(subject, is_unreachable=False)
        return not breaker.try_pass("another")

    assert is_open_after("a", "b", "c")
    breaker.record_success("another")
    assert not is_open_after("a", "b", "c", "a")
    for subject in ("a", "b", "c"):
        breaker.record_success(subject)
    assert is_open_after("a", "b", "c")
    breaker.record_success("another")
    seconds.turn(60)
    assert is_open_after("a", "b", "c")


def test_the_subjects_that_are_known_to_have_failed_are_bounded() -> None:
    breaker = CircuitBreaker(seconds=FakeSeconds())
    for number in range(2 * SUSPECTS_MAX):
        breaker.record_failure(str(number), is_unreachable=False)
    assert not breaker.is_suspect(str(SUSPECTS_MAX - 1))
    assert breaker.is_suspect(str(SUSPECTS_MAX))


async def test_accounts_that_failed_lately_leave_places_to_the_others() -> None:
    async with s.upstreams(at_once=4, seconds=0.5) as upstreams:
        with respx.mock:
            await fail(upstreams, 1, 2)
            respx.get(url__startswith=s.CHAT_URL).mock(side_effect=_forever)
            for suspect in (1, 2):
                respx.get(f"{s.CHAT_URL}/users/{suspect}/guilds").mock(side_effect=_forever)
            asking = [chat_of(upstreams, n) for n in (1, 2, 11, 12, 13)]
            heard = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in heard] == [UpstreamTimeout, Overloaded, *[UpstreamTimeout] * 3]


async def test_messages_of_the_outbox_wait_for_no_trial_and_are_none(
    upstreams: s.Upstreams,
) -> None:
    servers = f"{s.PANEL_URL}/users/{s.UUID}/servers"
    with respx.mock:
        for number in range(1, 4):
            other = f"{s.UUID[:-1]}{number}"
            respx.get(f"{s.PANEL_URL}/users/{other}/servers").respond(503)
            with pytest.raises(UpstreamFailed):
                await upstreams.panel.list_servers(other)
        respx.get(servers).respond(json=[s.SERVER])
        stop = respx.post(url__startswith=f"{s.PANEL_URL}/servers/").respond(204)
        assert len(await upstreams.panel.fetch_servers(s.UUID)) == 1
        await upstreams.panel.stop_servers(s.UUID, [str(s.SERVER["uuid"])])
        assert stop.called
        # It says nothing of what is shown: that waits for the pause.
        with pytest.raises(UpstreamFailed):
            await upstreams.panel.list_servers(s.UUID)
        upstreams.seconds.turn(10)
        respx.get(servers).mock(side_effect=httpx.ReadTimeout("silence"))
        with pytest.raises(UpstreamTimeout):
            await upstreams.panel.fetch_servers(s.UUID)
        respx.get(f"{s.PANEL_URL}/users/{s.UUID[:-1]}9/servers").respond(json=[])
        assert not (await upstreams.panel.list_servers(f"{s.UUID[:-1]}9")).value


@pytest.mark.parametrize("mood", sorted(MOODS.keys() - ABOUT_ALL))
async def test_a_bad_response_about_one_account_does_not_open_the_circuit(
    upstreams: s.Upstreams, service: respx.Route, mood: str
) -> None:
    service.mock(**MOODS[mood][1])
    respx.get(f"{s.CHAT_URL}/users/7/guilds").respond(json=[])
    for _ in range(10):
        with pytest.raises(UpstreamFailed):
            await chat(upstreams)
    assert (await upstreams.chat.list_guilds(7)).value == ()


async def test_a_bad_answer_after_the_pause_lets_everybody_ask_again(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    await fail(upstreams, 1, 2, 3)
    respx.get(f"{s.CHAT_URL}/users/7/guilds").respond(json=[])
    service.respond(500)
    upstreams.seconds.turn(10)
    with pytest.raises(UpstreamFailed):
        await chat(upstreams)
    assert (await upstreams.chat.list_guilds(7)).value == ()


@pytest.mark.parametrize("answers", STUCK.values(), ids=STUCK.keys())
async def test_servers_that_cannot_be_stopped_do_not_open_the_circuit_of_the_panel(
    upstreams: s.Upstreams, answers: dict[str, Any]
) -> None:
    uuids = [f"{s.UUID[:-2]}{number:02}" for number in range(8)]
    with respx.mock:
        listed = [{"uuid": uuid, "active": 1} for uuid in uuids]
        respx.get(s.SERVERS_URL).respond(json=listed)
        last = respx.post(f"{s.PANEL_URL}/servers/{uuids[-1]}/stop").respond(204)
        respx.post(url__startswith=f"{s.PANEL_URL}/servers/").mock(**answers)
        with pytest.raises(DomainError):
            await upstreams.panel.stop_servers(s.UUID, uuids)
        assert last.called
        assert len(await upstreams.panel.fetch_servers(s.UUID)) == 8


async def test_outcomes_of_requests_are_counted(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    def counted(part: Measurable) -> dict[str, float]:
        read = [(dict(found.labels), found.value) for found in part.measurements()]
        return {labels["outcome"]: value for labels, value in read if value}

    await chat(upstreams)
    upstreams.seconds.turn(10)
    service.respond(500)
    await chat(upstreams)
    await fail(upstreams, 1, 2, 3, 4)
    assert counted(upstreams.chat) == {"ok": 1, "refused": 1, "failed": 3, "skipped": 1}
    for part, url in ((upstreams.panel, s.SERVERS_URL), (upstreams.pterodactyl, s.EXTERNAL_URL)):
        respx.get(url).mock(side_effect=httpx.ReadTimeout("silence"))
        with pytest.raises(UpstreamTimeout):
            await part.list_servers(s.UUID)
        assert counted(part) == {"timeout": 1}


# --------------------------------------------------------------------- what is kept of it


async def test_a_response_is_reused_for_ten_seconds(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    await chat(upstreams)
    upstreams.seconds.turn(9.9)
    assert (await upstreams.chat.list_guilds(s.USER_ID)).stale_seconds is None
    assert service.call_count == 1
    upstreams.seconds.turn(0.1)
    service.respond(json=[])
    assert (await upstreams.chat.list_guilds(s.USER_ID)).value == ()
    assert service.call_count == 2


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS.keys())
async def test_for_an_hour_the_last_response_is_shown_as_stale(
    upstreams: s.Upstreams, service: respx.Route, mood: tuple[type[DomainError], dict[str, Any]]
) -> None:
    fresh = (await upstreams.chat.list_guilds(s.USER_ID)).value
    error, answers = mood
    service.mock(**answers)
    upstreams.seconds.turn(130)
    told = await upstreams.chat.list_guilds(s.USER_ID)
    assert (told.value, told.stale_seconds) == (fresh, 120)
    upstreams.seconds.turn(3500)
    with pytest.raises(error):
        await chat(upstreams)


async def test_while_it_is_left_alone_the_old_is_shown_at_once(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    await chat(upstreams)
    upstreams.seconds.turn(20)
    await fail(upstreams, 1, 2, 3)
    for _ in range(8):
        assert (await upstreams.chat.list_guilds(s.USER_ID)).stale_seconds == 10
    assert service.call_count == 1


async def test_more_than_is_kept_drops_what_was_asked_first() -> None:
    asked: list[str] = []

    async def ask(subject: str) -> list[int]:
        asked.append(subject)
        return [0] * 4

    answers = StaleCache("test", ask, FakeSeconds(), max_entries=12)
    for subject in ("a", "b", "c", "b", "c", "a", "c"):
        await answers.get(subject)
    assert asked == ["a", "b", "c", "a"]


async def test_servers_fetched_for_a_decision_are_not_cached(
    upstreams: s.Upstreams, service: respx.Route
) -> None:
    servers = respx.get(s.SERVERS_URL).respond(json=[s.SERVER])
    await panel(upstreams)
    servers.respond(json=[s.OTHER])
    (found,) = await upstreams.panel.fetch_servers(s.UUID)
    assert found.uuid == s.OTHER["uuid"]
    servers.respond(503)
    with pytest.raises(UpstreamFailed):
        await panel_now(upstreams)
