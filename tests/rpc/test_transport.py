"""The HTTP around the calls: verbs, content types, sizes, statuses, and odd JSON."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway import Gateway
from tests.rpc.wire import (
    INVALID_REQUEST,
    PARSE_ERROR,
    call,
    notification,
    post,
    reply_to,
    result,
    send,
    without_sentence,
)

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
CHECK = '{"jsonrpc":"2.0","method":"users.check","params":["alice"],"id":1}'


def assert_problem(response: httpx.Response, status: int, slug: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == slug


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_only_post_is_allowed(shared_gateway: Gateway, verb: str) -> None:
    response = await shared_gateway.client.request(verb, "/rpc")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_a_get_returns_a_problem(shared_gateway: Gateway) -> None:
    assert_problem(await shared_gateway.client.get("/rpc"), 405, "method-not-allowed")


@pytest.mark.parametrize("path", ["/rpc/", "/RPC", "/api/rpc", "//rpc"])
async def test_rpc_is_at_its_exact_path(shared_gateway: Gateway, path: str) -> None:
    response = await shared_gateway.client.post(
        f"http://gateway{path}", json=call("users.check", ["alice"])
    )
    assert_problem(response, 404, "not-found")


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", "application/json-rpc", "application/jsonrequest"),
        *("application/json; charset=utf-8", "application/json;charset=UTF-8;x=y"),
        *("application/json-rpc ; charset=utf-8", "Application/JSON", "APPLICATION/JSONREQUEST"),
    ],
)
async def test_three_content_types_are_read(shared_gateway: Gateway, content_type: str) -> None:
    response = await post(shared_gateway, CHECK, content_type)
    assert (response.status_code, response.json()) == (200, result(True))


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"),
        *("application/xml", "application/json5", "application/problem+json", "json", ";"),
        *("text/json", "application/*", "application/jsonx; application/json"),
    ],
)
async def test_any_other_content_type_is_refused(
    shared_gateway: Gateway, content_type: str | None
) -> None:
    assert_problem(await post(shared_gateway, CHECK, content_type), 415, "unsupported-media-type")


@pytest.mark.parametrize("value", [call("users.check", ["alice"]), call("foobar"), [], 1, [1]])
async def test_every_reply_has_the_status_200(shared_gateway: Gateway, value: object) -> None:
    response = await shared_gateway.client.post("/rpc", json=value)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", [notification("foobar"), [notification("users.check")] * 2])
async def test_no_reply_has_the_status_204_and_no_body(
    shared_gateway: Gateway, value: object
) -> None:
    response = await shared_gateway.client.post("/rpc", json=value)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers


async def test_a_reply_stays_out_of_caches_and_is_not_sniffed(shared_gateway: Gateway) -> None:
    headers = (await post(shared_gateway, CHECK)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip", "GZIP"])
async def test_a_content_coding_is_refused(shared_gateway: Gateway, coding: str) -> None:
    response = await post(shared_gateway, CHECK, headers={"Content-Encoding": coding})
    assert_problem(response, 415, "unsupported-media-type")
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "IDENTITY", ""])
async def test_the_coding_identity_is_none(shared_gateway: Gateway, coding: str) -> None:
    response = await post(shared_gateway, CHECK, headers={"Content-Encoding": coding})
    assert response.json() == result(True)


# ------------------------------------------------------------------------------ size


async def in_chunks(body: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def post_in_chunks(gateway: Gateway, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    response = await gateway.client.post("/rpc", content=in_chunks(body), headers=headers)
    assert "content-length" not in response.request.headers
    return response


async def test_a_body_of_exactly_one_mib_is_read(shared_gateway: Gateway) -> None:
    body = CHECK.encode().ljust(MIB)
    assert (await post(shared_gateway, body)).json() == result(True)
    assert (await post_in_chunks(shared_gateway, body)).json() == result(True)


async def test_one_byte_more_is_too_large_by_its_header(shared_gateway: Gateway) -> None:
    response = await post(shared_gateway, CHECK.encode().ljust(MIB + 1))
    assert_problem(response, 413, "payload-too-large")


async def test_one_byte_more_is_too_large_by_its_chunks(shared_gateway: Gateway) -> None:
    response = await post_in_chunks(shared_gateway, CHECK.encode().ljust(MIB + 1))
    assert_problem(response, 413, "payload-too-large")


@pytest.mark.parametrize("length", [MIB + 1, 10**12, 10**40])
async def test_a_header_that_announces_too_much_is_believed(
    shared_gateway: Gateway, length: int
) -> None:
    response = await post(shared_gateway, CHECK, headers={"Content-Length": str(length)})
    assert_problem(response, 413, "payload-too-large")


async def test_a_call_may_arrive_a_byte_at_a_time(shared_gateway: Gateway) -> None:
    headers = {"Content-Type": "application/json"}
    body = in_chunks(CHECK.encode(), size=1)
    response = await shared_gateway.client.post("/rpc", content=body, headers=headers)
    assert response.json() == result(True)


# -------------------------------------------------------------------------- odd JSON


def with_params(params: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"users.check","params":{params},"id":1}}'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param(" \n\t", id="blanks"),
        pytest.param("\x00", id="NUL"),
        pytest.param(CHECK + "\x00", id="NUL at the end"),
        pytest.param(CHECK + CHECK, id="two requests"),
        pytest.param(CHECK[:-1], id="cut short"),
        pytest.param(CHECK[:-1] + ",}", id="trailing comma of an object"),
        pytest.param(f"[{CHECK},]", id="trailing comma of an array"),
        pytest.param(CHECK.replace('"', "'"), id="single quotes"),
        pytest.param("// a comment\n" + CHECK, id="comment"),
        pytest.param(with_params("[NaN]"), id="NaN"),
        pytest.param(with_params("[Infinity]"), id="Infinity"),
        pytest.param(with_params("[-Infinity]"), id="-Infinity"),
        pytest.param(with_params("[1e999]"), id="1e999"),
        pytest.param(with_params("[-1E999]"), id="-1E999"),
        pytest.param(with_params("[" + "9" * 400 + ".0]"), id="400 digits and a fraction"),
        pytest.param(CHECK.replace('"id":1', '"id":1e999'), id="1e999 as id"),
        pytest.param(with_params("[" + "9" * 5000 + "]"), id="5000 digits"),
        pytest.param(CHECK.replace('"id":1', '"id":' + "9" * 5000), id="5000 digits as id"),
        pytest.param(with_params("[01]"), id="leading zero"),
        pytest.param(with_params("[+1]"), id="leading plus"),
        pytest.param(with_params("[.5]"), id="leading point"),
        pytest.param(with_params("[0x10]"), id="hexadecimal"),
        pytest.param(with_params('["\\ud800"]'), id="lone high surrogate"),
        pytest.param(with_params('["\\udc00a"]'), id="lone low surrogate"),
        pytest.param(with_params('{"\\ud800": 1}'), id="lone surrogate in a name"),
        pytest.param(CHECK.replace('"id":1', '"id":"\\udfff"'), id="lone surrogate as id"),
        pytest.param(with_params('["\\x41"]'), id="escape that is none"),
        pytest.param(with_params('["a\nb"]'), id="raw line feed in a string"),
        pytest.param(with_params('["a\x00b"]'), id="raw NUL in a string"),
        pytest.param("[" * 1000 + "]" * 1000, id="1000 levels"),
        pytest.param("[" * 500_000, id="500,000 levels"),
        pytest.param('{"a":' * 1000 + "1" + "}" * 1000, id="1000 levels of objects"),
        pytest.param(b"\xef\xbb\xbf" * 2 + CHECK.encode(), id="two byte order marks"),
        pytest.param(b" \xef\xbb\xbf" + CHECK.encode(), id="byte order mark after a blank"),
        pytest.param(CHECK.encode() + b"\xef\xbb\xbf", id="byte order mark at the end"),
        pytest.param(CHECK.encode("utf-16"), id="UTF-16"),
        pytest.param(CHECK.encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param(CHECK.encode("utf-32"), id="UTF-32"),
        pytest.param(with_params('["é"]').encode("latin-1"), id="Latin-1"),
        pytest.param(with_params('["x"]').encode().replace(b"x", b"\xed\xa0\x80"), id="CESU-8"),
        pytest.param(with_params('["x"]').encode().replace(b"x", b"\xc0\x80"), id="overlong NUL"),
        pytest.param(b"\xff" * 100, id="no text"),
        pytest.param(b"\x1f\x8b\x08\x00" + b"\x00" * 20, id="gzip"),
    ],
)
async def test_invalid_json_is_a_parse_error(shared_gateway: Gateway, body: str | bytes) -> None:
    reply = await reply_to(shared_gateway, body)
    assert without_sentence(reply) == PARSE_ERROR
    sentence = reply["error"]["data"]
    assert sentence.startswith("The body is not JSON: ")
    assert re.search(r" at line \d+ column \d+\. [A-Z]", sentence) or "too many" in sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "EOF while parsing a value at line 1 column 0"),
        ('{\n  "a": 1,\n  b: 2\n}', "key must be a string at line 3 column 3"),
        ('[1,\n 2, "1e999",\n -1e999]', "a number is too large at line 3 column 2"),
    ],
)
async def test_a_parse_error_says_what_is_wrong_and_where(
    shared_gateway: Gateway, body: str, sentence: str
) -> None:
    reply = await reply_to(shared_gateway, body)
    assert reply["error"]["data"].startswith(f"The body is not JSON: {sentence}. ")
    answer = await shared_gateway.rest(
        "POST", "/users/@self", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (400, reply["error"]["data"])


@pytest.mark.parametrize(
    "name",
    ["\u0000", "alice\u0000", "\u202ealice", "al\u200bice", "\ufeffalice", "x" * 500_000, "", "🎈"],
    ids=repr,
)
async def test_odd_text_is_an_unknown_name(shared_gateway: Gateway, name: str) -> None:
    assert await send(shared_gateway, call("users.check", [name])) == result(False)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**300, 1e308, -0.0, 5e-324])
async def test_a_number_in_the_place_of_a_text_is_an_invalid_parameter(
    shared_gateway: Gateway, value: float
) -> None:
    reply = await send(shared_gateway, call("users.check", [value]))
    assert reply["error"]["code"] == -32602


@pytest.mark.parametrize("body", [CHECK, f"[{CHECK}]"])
async def test_a_byte_order_mark_before_the_json_is_ignored(
    shared_gateway: Gateway, body: str
) -> None:
    reply = await reply_to(shared_gateway, body.encode("utf-8-sig"))
    assert reply == (result(True) if body == CHECK else [result(True)])


async def test_nesting_within_reason_is_json(shared_gateway: Gateway) -> None:
    reply = await reply_to(shared_gateway, with_params("[" * 50 + "]" * 50))
    assert reply["error"]["code"] == -32602


async def test_a_long_array_of_nonsense_is_a_batch_over_its_limit(shared_gateway: Gateway) -> None:
    reply = await reply_to(shared_gateway, "[" + "0," * 500_000 + "0]")
    assert without_sentence(reply) == INVALID_REQUEST
