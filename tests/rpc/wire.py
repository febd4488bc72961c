"""Requests to the JSON-RPC API and their responses, byte by byte where it matters."""

from typing import Any

import httpx

from app.domain.errors import CredentialFault
from tests.gateway import Gateway

JSON = "application/json"
CHAT_MESSAGE = "内部错误"
NO_CREDENTIAL = CredentialFault.MISSING.value


async def post(
    gateway: Gateway,
    body: str | bytes,
    content_type: str | None = JSON,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Send exactly these bytes."""
    sent = dict(headers or {})
    if content_type is not None:
        sent["Content-Type"] = content_type
    return await gateway.client.post(f"/rpc{query}", content=body, headers=sent)


async def reply_to(gateway: Gateway, body: str | bytes) -> Any:
    """The whole reply to these bytes; None where there is none."""
    response = await post(gateway, body)
    if response.status_code == 204:
        assert response.content == b""
        return None
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    return response.json()


async def send(gateway: Gateway, value: Any, **request: Any) -> Any:
    """The whole reply to a JSON value; None where there is none."""
    response = await gateway.client.post("/rpc", json=value, **request)
    assert response.status_code in {200, 204}
    return response.json() if response.content else None


def call(method: str, params: Any = None, /, **members: Any) -> dict[str, Any]:
    """A request object with id 1."""
    request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    return {**request, **members}


def notification(method: str, params: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def result(value: Any, id: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(code: int, message: str, data: Any = None, id: Any = 1) -> dict[str, Any]:
    members = {"code": code, "message": message}
    return {
        "jsonrpc": "2.0",
        "id": id,
        "error": members if data is None else {**members, "data": data},
    }


def refusal(sentence: str, id: Any = 1) -> dict[str, Any]:
    """An error of the domain in the chat's own dialect."""
    return error(-32603, CHAT_MESSAGE, sentence, id)


PARSE_ERROR = error(-32700, "Parse error", id=None)
INVALID_REQUEST = error(-32600, "Invalid Request", id=None)


def without_sentence(reply: Any) -> Any:
    """The reply without the sentence that a refusal of the protocol may carry, which is one."""
    if isinstance(reply, list):
        return [without_sentence(one) for one in reply]
    if reply.get("error", {}).get("code") not in {-32600, -32601, -32700}:
        return reply
    members = dict(reply["error"])
    assert isinstance(members.pop("data", "a sentence"), str)
    return {**reply, "error": members}
