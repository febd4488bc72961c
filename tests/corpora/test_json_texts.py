"""Our strict reader and both APIs on JSON texts that must parse and on texts that must not."""

import json
from pathlib import Path

import pytest

from app.http.json import BYTE_ORDER_MARK, parse
from tests.corpora.report import none_of
from tests.gateway import Gateway
from tools.corpora.json_invalid import INVALID
from tools.corpora.json_open import DUPLICATED, REFUSED, TAKEN
from tools.corpora.json_valid import VALID

pytestmark = pytest.mark.anyio

RIGHT, WRONG = {**VALID, **TAKEN}, {**INVALID, **REFUSED}
HEADERS = {"Content-Type": "application/json"}


def _is_taken(text: bytes) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("group", RIGHT)
def test_the_reader_takes_what_is_json_and_reads_what_it_says(group: str) -> None:
    none_of(
        about
        for about, text in RIGHT[group].items()
        if not _is_taken(text) or parse(text) != json.loads(text.decode("utf-8-sig"))
    )


@pytest.mark.parametrize("group", WRONG)
def test_the_reader_refuses_what_is_no_json(group: str) -> None:
    none_of(about for about, text in WRONG[group].items() if _is_taken(text))


@pytest.mark.parametrize("group", RIGHT)
async def test_both_apis_take_what_is_json(standing: tuple[Gateway, Path], group: str) -> None:
    """An unknown member of an envelope is ignored; a REST member of a wrong type is named."""
    gateway, _ = standing
    token = await gateway.log_in("alice")
    wrong = []
    for about, text in RIGHT[group].items():
        # In a request, it is the text as a whole that may have a byte order mark.
        text = text.removeprefix(BYTE_ORDER_MARK)
        call = b'{"jsonrpc":"2.0","method":"users.check","params":["alice"],"id":1,"extra":%b}'
        reply = await gateway.client.post("/rpc", content=call % text, headers=HEADERS)
        if reply.json() != {"jsonrpc": "2.0", "id": 1, "result": True}:
            wrong.append(f"{about}: {reply.text}")
        body = b'{"display_name":%b}' % text
        answer = await gateway.rest("PATCH", "/users/@self", token, content=body, headers=HEADERS)
        members = {"#/display_name"} if answer.status_code == 400 else set()
        if {field_error["pointer"] for field_error in answer.json().get("errors", ())} != members:
            wrong.append(f"{about}: {answer.text}")
    none_of(wrong)


@pytest.mark.parametrize("group", WRONG)
async def test_both_apis_refuse_what_is_no_json(standing: tuple[Gateway, Path], group: str) -> None:
    gateway, _ = standing
    token = await gateway.log_in("alice")
    wrong = []
    for about, text in WRONG[group].items():
        response = await gateway.client.post("/rpc", content=text, headers=HEADERS)
        reply = response.json()
        if (response.status_code, reply["id"], reply["error"]["code"]) != (200, None, -32700):
            wrong.append(f"{about}: {response.text}")
        answer = await gateway.rest("PATCH", "/users/@self", token, content=text, headers=HEADERS)
        problem = answer.json()
        if (answer.status_code, problem["code"], "errors" in problem) != (
            400,
            "invalid-input",
            False,
        ):
            wrong.append(f"{about}: {answer.text}")
    none_of(wrong)


async def test_both_apis_refuse_members_that_occur_twice(
    standing: tuple[Gateway, Path],
) -> None:
    gateway, _ = standing
    token = await gateway.log_in("alice")
    wrong = []
    for about, text in DUPLICATED.items():
        if _is_taken(text):
            wrong.append(f"{about}: it is read")
        response = await gateway.client.post("/rpc", content=text, headers=HEADERS)
        reply = response.json()
        replies = reply if isinstance(reply, list) else [reply]
        codes = {one["error"]["code"] for one in replies}
        if codes != {-32600}:
            wrong.append(f"{about}: {response.text}")
        answer = await gateway.rest("PATCH", "/users/@self", token, content=text, headers=HEADERS)
        if (answer.status_code, answer.json()["code"]) != (400, "invalid-input"):
            wrong.append(f"{about}: {answer.text}")
    none_of(wrong)


async def test_both_apis_ignore_a_byte_order_mark(standing: tuple[Gateway, Path]) -> None:
    gateway, _ = standing
    call = b'{"jsonrpc":"2.0","method":"users.check","params":["alice"],"id":1}'
    reply = await gateway.client.post("/rpc", content=BYTE_ORDER_MARK + call, headers=HEADERS)
    assert reply.json()["result"] is True
    body = BYTE_ORDER_MARK + b'{"display_name":"Alice"}'
    token = await gateway.log_in("alice")
    answer = await gateway.rest("PATCH", "/users/@self", token, content=body, headers=HEADERS)
    assert answer.json()["display_name"] == "Alice"


def test_the_corpus_is_as_large_as_the_public_one() -> None:
    assert sum(map(len, VALID.values())) >= 95
    assert sum(map(len, INVALID.values())) >= 188
    assert sum(map(len, (*TAKEN.values(), *REFUSED.values()))) >= 30
