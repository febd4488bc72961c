"""Make every mistake of the collection, and show the answers as a table."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.types import Message, Scope

from app.settings import Settings
from app.storage.sqlite.store import SqliteFile
from tests.captured_logs import captured
from tests.gateway import CLIENT, FastPathServer, Gateway, open_gateway
from tests.mistakes.collection import Known, Mistake, Sent, collection


@dataclass(frozen=True, slots=True)
class Answer:
    """The refusal of one request: an HTTP status or a JSON-RPC code, the slug, the sentence."""

    api: str
    code: int
    slug: str
    sentence: str
    # Members of the problem object's `errors`, without their sentences.
    places: tuple[str, ...]
    # Everything that was received.
    received: str


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    text: str


_MARKUP = frozenset("*_<>[]{}|`@:/$")
Made = tuple[str, Mistake, Answer]


async def made(gateway: Gateway) -> tuple[Known, list[Made]]:
    """Make every mistake; what the requests refer to, and the answers with their subjects."""
    known = await _prepare(gateway)
    return known, [
        (subject, mistake, answer)
        for subject, mistakes in collection(known).items()
        for mistake in mistakes
        for answer in await _answers(gateway, mistake)
    ]


async def _prepare(gateway: Gateway) -> Known:
    await gateway.sign_up("alice")
    expired = await gateway.log_in("alice")
    gateway.clock.turn(timedelta(days=8))
    token, other_token = await gateway.log_in("alice"), await gateway.log_in("alice")
    user_id = (await gateway.rpc("users.self", None, token))["result"]["id"]
    uuid = await gateway.uuid_of("alice")
    admin = await gateway.uuid_of("admin")
    return Known(token, other_token, expired, gateway.admin_key, uuid, user_id, admin)


async def _answers(gateway: Gateway, mistake: Mistake) -> list[Answer]:
    answers = []
    if mistake.rpc is not None:
        answers.append(await _rpc_answer(gateway, mistake.rpc))
    if mistake.rest is not None:
        answers.append(_of_problem("REST", await send(gateway, mistake.rest)))
    return answers


async def _rpc_answer(gateway: Gateway, sent: Sent) -> Answer:
    """The answer in the chat dialect, with the slug and the places of the problem dialect."""
    response = await send(gateway, sent)
    if response.status < 300 and "error" not in response.text:
        return Answer("JSON-RPC", response.status, "", "", (), response.text)
    if response.status != 200:
        return _of_problem("JSON-RPC", response)
    error = _error(response)
    problem = _error(await send(gateway, sent, "?errors=problem"))["data"]
    assert error.get("data", error["message"]) == problem["detail"], (sent, error, problem)
    return Answer(
        "JSON-RPC",
        error["code"],
        problem["code"],
        problem["detail"],
        _places(problem),
        response.text,
    )


def _error(response: Response) -> dict[str, Any]:
    reply = json.loads(response.text)
    (first, *_) = reply if isinstance(reply, list) else [reply]
    error: dict[str, Any] = first["error"]
    return error


async def send(gateway: Gateway, sent: Sent, query: str = "") -> Response:
    """Send a request byte by byte; a client library would correct some of the mistakes."""
    path, _, asked = (sent.path + query).partition("?")
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": sent.method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": asked.encode(),
        "headers": [
            (b"host", b"gateway"),
            *((name.lower().encode(), value.encode()) for name, value in sent.headers),
        ],
        "client": CLIENT,
        "state": {},
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": sent.body}

    async def collect(message: Message) -> None:
        messages.append(message)

    await FastPathServer(gateway.app)(scope, receive, collect)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Response(messages[0]["status"], messages[0]["headers"], body.decode())


def _of_problem(api: str, response: Response) -> Answer:
    if response.status < 300:
        return Answer(api, response.status, "", "", (), response.text)
    problem = json.loads(response.text)
    received = f"{response.headers}{response.text}"
    places = _places(problem)
    code, slug, detail = response.status, problem["code"], problem["detail"]
    return Answer(api, code, slug, detail, places, received)


def _places(problem: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        name if place == "pointer" else f"{place} {name}"
        for error in problem.get("errors", ())
        for place, name in error.items()
        if place != "detail"
    )


@asynccontextmanager
async def opened() -> AsyncIterator[Gateway]:
    """A gateway without rate limits, which would answer after a few mistakes."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "gatehouse.sqlite3"
        SqliteFile(database).migrate()
        async with open_gateway(database, Settings(rate_limits="off")) as gateway:
            yield gateway


async def _all() -> list[Made]:
    async with opened() as gateway:
        return (await made(gateway))[1]


def answers_by_subject() -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of a table for each subject: mistake, APIs, codes, sentence."""
    with captured("json"):
        rows = asyncio.run(_all())
    subjects: dict[str, list[tuple[str, ...]]] = {}
    for subject, group in groupby(rows, lambda row: row[0]):
        by_sentence: dict[tuple[str, str, str], list[Answer]] = {}
        for _, mistake, answer in group:
            key = mistake.what, answer.slug, answer.sentence
            by_sentence.setdefault(key, []).append(answer)
        subjects[subject] = [
            (
                _cell(what),
                ", ".join(answer.api for answer in answers),
                f"{', '.join(dict.fromkeys(str(answer.code) for answer in answers))} `{slug}`",
                _as_code(sentence),
            )
            for (what, slug, sentence), answers in by_sentence.items()
        ]
    return subjects


def _cell(text: str) -> str:
    """Return a text for a cell, as code if Markdown would change it."""
    return text if _MARKUP.isdisjoint(text) else _as_code(text)


def _as_code(text: str) -> str:
    """Return a text for a cell, as it is."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|")
