"""The chat document's own examples (chat-users-rpc.md), byte for byte where it speaks."""

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from app.domain.credentials import TokenClaims
from tests.fakes.ports import FakeIds
from tests.gateway import Gateway, open_gateway
from tests.rpc.wire import post

pytestmark = pytest.mark.anyio

CREATE = """
{
    "jsonrpc": "2.0",
    "method": "users.create",
    "auth": null,
    "params": {"username": "user", "password": "********"},
    "id": 1
}
"""
CREATED = """
{
  "jsonrpc": "2.0",
  "id": 1,
  "result": {
    "id": "71395574100676609",
    "username": "user",
    "display_name": "user",
    "presence": null
  }
}
"""
CREATED_BEFORE = """
{
    "jsonrpc": "2.0",
    "id": 1,
    "error": {
        "code": -32603,
        "message": "内部错误",
        "data": "User with username user already exists"
    }
}
"""
# Its curly quotes are straight ones.
AUTH = """
{
    "jsonrpc": "2.0",
    "method": "users.auth",
    "auth": null,
    "params": {"username": "user", "password": "********"},
    "id": 1
}
"""
AUTHENTICATED = """
{
    "jsonrpc":"2.0",
    "id":1,
    "result":{"user_id":"71395574100676609", "token":"********"}
}
"""
WRONG_PASSWORD = """
{
    "jsonrpc": "2.0",
    "id": 1,
    "error": {
        "code": -32603,
        "message": "内部错误",
        "data": "invalid password"
    }
}
"""
CHECK = """
{
    "jsonrpc": "2.0",
    "method": "users.check",
    "auth": null,
    "params": ["{{checkuser}}"],
    "id": 1
}
"""
EXISTS = """
{
    "jsonrpc": "2.0",
    "id": 1,
    "result": true
}
"""
EXISTS_NOT = """
{
    "jsonrpc": "2.0",
    "id": 1,
    "result": false
}
"""


class IdsOfTheDocument(FakeIds):
    """The first admin takes the snowflake before the document's."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(71395574100676608)

    def new_snowflake(self) -> int:
        return next(self._numbers)


class TokensOfTheDocument:
    """Shown as the document shows them."""

    def issue(self, claims: TokenClaims) -> str:
        return "********"

    def can_issue(self) -> bool:
        return True

    async def verify(self, token: str) -> TokenClaims | None:
        return None


@pytest.fixture
async def chat(database: Path) -> AsyncIterator[Gateway]:
    ids, tokens = IdsOfTheDocument(), TokensOfTheDocument()
    async with open_gateway(database, ids=ids, tokens=tokens) as gateway:
        yield gateway


def compact(example: str) -> bytes:
    """The example's bytes without its blanks; its members keep their order."""
    text = json.dumps(json.loads(example), ensure_ascii=False, separators=(",", ":"))
    return text.encode()


async def answer(chat: Gateway, request: str) -> bytes:
    response = await post(chat, request)
    assert response.status_code == 200
    return response.content


async def test_creating_a_user(chat: Gateway) -> None:
    assert await answer(chat, CREATE) == compact(CREATED)


async def test_creating_a_user_who_is_there(chat: Gateway) -> None:
    await answer(chat, CREATE)
    assert await answer(chat, CREATE) == compact(CREATED_BEFORE)


async def test_logging_in(chat: Gateway) -> None:
    await answer(chat, CREATE)
    assert await answer(chat, AUTH) == compact(AUTHENTICATED)


async def test_logging_in_with_a_wrong_password(chat: Gateway) -> None:
    await answer(chat, CREATE)
    assert await answer(chat, AUTH.replace("********", "*********")) == compact(WRONG_PASSWORD)


async def test_logging_in_as_an_unknown_user(chat: Gateway) -> None:
    assert await answer(chat, AUTH) == compact(WRONG_PASSWORD)


async def test_checking_a_name_that_exists(chat: Gateway) -> None:
    await answer(chat, CREATE)
    assert await answer(chat, CHECK.replace("{{checkuser}}", "user")) == compact(EXISTS)


@pytest.mark.parametrize("name", ["user", "{{checkuser}}"])
async def test_checking_a_name_that_does_not_exist(chat: Gateway, name: str) -> None:
    assert await answer(chat, CHECK.replace("{{checkuser}}", name)) == compact(EXISTS_NOT)


async def test_curly_quotes_are_not_json(chat: Gateway) -> None:
    reply = json.loads(await answer(chat, AUTH.replace('"********"', "“********”")))
    assert (reply["error"]["code"], reply["error"]["message"]) == (-32700, "Parse error")
