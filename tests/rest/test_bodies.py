"""Bodies as clients send them: after a mark, with members twice, with nothing in them."""

import pytest

from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from tests.gateway import Gateway
from tests.rest.wire import UNKNOWN, flaws_of, problem_of

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"name":"a","name":"b"}', "name"),
        ('{"name":"a","n\\u0061me":"b"}', "name"),
        ('{"name":{"first":1,"first":1}}', "first"),
        ('{"name":"a","networks":[[{"x":1},{"y":1,"y":1}]]}', "y"),
        ('{"name":"a:b","a:b":1,"a:b":2}', "a:b"),
    ],
)
async def test_a_duplicate_member_is_refused_at_any_depth(
    shared_gateway: Gateway, body: str, name: str
) -> None:
    answer = await shared_gateway.rest(
        "POST", "/users/@self/keys", shared_gateway.admin_key, content=body, headers=JSON
    )
    assert flaws_of(answer) == [f"#/{name}"]
    assert answer.json()["detail"] == f"{name}: is given twice; send it once"


async def test_a_duplicate_member_of_a_login_is_refused(shared_gateway: Gateway) -> None:
    body = '{"username":"alice","password":"x","password":"correct horse battery"}'
    answer = await shared_gateway.rest("POST", "/users/auth", content=body, headers=JSON)
    assert flaws_of(answer) == ["#/password"]


@pytest.mark.parametrize("body", ['{"presence":"IDLE"}', '"IDLE"', '{"IDLE"}'])
async def test_a_byte_order_mark_before_a_body_is_ignored(
    shared_gateway: Gateway, body: str
) -> None:
    token = await shared_gateway.log_in("alice")
    answer = await shared_gateway.rest(
        "PATCH", "/users/@self/presence", token, content=BOM + body.encode(), headers=JSON
    )
    assert (answer.status_code, answer.json()) == (200, "IDLE")


# ---------------------------------------------------------------------- bodies for 'none'

WITHOUT_BODY = [
    pytest.param(route, id=f"{route.method} {route.path}")
    for route in ROUTES
    if route.method not in {"GET", "HEAD"} and not route.has_body
]
NONE = [b"", b"null", b"{}", b"[]", b'""', b" null\r\n", BOM + b"null", b"{ }", b"[\n]", b" "]
SOME = [b"0", b"false", b"[null]", b'{"a":1}', b'"null"', b"nul", b"null null", b"a=1", b"{}{}"]


def path_of(route: OperationRoute) -> str:
    return route.path.format(uuid=UNKNOWN, id="71395574100676610", user=UNKNOWN)


@pytest.mark.parametrize("route", WITHOUT_BODY)
async def test_a_body_that_means_none_is_none(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    async def answer(content: bytes | None, headers: dict[str, str]) -> tuple[int, object]:
        sent = await shared_gateway.rest(
            route.method, path_of(route), shared_gateway.admin_key, content=content, headers=headers
        )
        return sent.status_code, sent.json().get("detail") if sent.content else None

    without = await answer(None, {})
    # Sessions and keys of others are not there; an access key ends no session of its own.
    assert without[0] in {204, 403, 404}
    for body in NONE:
        for headers in (JSON, {}, {"Content-Type": "application/x-www-form-urlencoded"}):
            assert await answer(body, headers) == without, (body, headers)
    for body in SOME:
        assert await answer(body, JSON) == (400, "This route does not accept a body; send none."), (
            body
        )


# --------------------------------------------------------------------------- codings

WITH_BODY = [
    pytest.param(route, id=f"{route.method} {route.path}")
    for route in ROUTES
    if route.method not in {"GET", "HEAD"}
]
CODED = [["gzip"], ["br"], ["x-gzip"], ["identity, gzip"], ["identity", "deflate"], ["aws-chunked"]]


@pytest.mark.parametrize("route", WITH_BODY)
async def test_a_content_coding_is_unsupported(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    for codings in CODED:
        headers = [*JSON.items(), *(("Content-Encoding", coding) for coding in codings)]
        headers.append(("X-Access-Token", shared_gateway.admin_key))
        answer = await shared_gateway.client.request(
            route.method, path_of(route), content=b"\x1f\x8b\x08", headers=headers
        )
        problem = problem_of(answer, 415, "unsupported-media-type")
        assert problem["detail"] == (
            "Send the body uncompressed, without the header Content-Encoding."
        )
        assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", "", " identity , identity "])
async def test_the_coding_identity_is_none(shared_gateway: Gateway, coding: str) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    login = {"username": "alice", "password": "correct horse battery"}
    answer = await shared_gateway.rest("POST", "/users/auth", json=login, headers=headers)
    assert answer.status_code == 200


async def test_another_media_type_asks_for_no_coding(shared_gateway: Gateway) -> None:
    answer = await shared_gateway.rest(
        "POST", "/users/@self", content=b"x", headers={"Content-Type": "text/css"}
    )
    problem_of(answer, 415, "unsupported-media-type")
    assert "accept-encoding" not in answer.headers
