"""`GET /users/{username}`: 204 for a name in use; the segment may also be a uuid or @self."""

import pytest

from tests.gateway import Gateway
from tests.rest.wire import UNKNOWN, problem_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice", "ａｌｉｃｅ", "a1ice", "admin"])
async def test_a_name_in_use_returns_204(shared_gateway: Gateway, prefix: str, name: str) -> None:
    for verb in ("GET", "HEAD"):
        response = await shared_gateway.rest(verb, f"{prefix}/users/{name}")
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    "name",
    [
        *("nobody", "ab", "a b", "x" * 17, "-dash", "support", "self", "@elf", "@self2", "名", "*"),
        *("71395574100676609", "1", "x" * 36, "x" * 5000, "alice%00", "%E2%80%AEalice", "a%25b"),
        *("null", "undefined", "auth2", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxx"),
    ],
)
async def test_an_impossible_name_returns_404(shared_gateway: Gateway, name: str) -> None:
    problem_of(await shared_gateway.rest("GET", f"/users/{name}"), 404, "user-not-found")
    response = await shared_gateway.rest("HEAD", f"/users/{name}")
    assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize("credential", [None, "stale"])
async def test_anyone_may_ask_for_a_name(shared_gateway: Gateway, credential: str | None) -> None:
    assert (await shared_gateway.rest("GET", "/users/alice", credential)).status_code == 204


@pytest.mark.parametrize(
    "uuid", [UNKNOWN, UNKNOWN.upper(), "0" * 8 + "-0000-0000-0000-" + "0" * 12]
)
async def test_36_characters_that_parse_are_a_uuid_and_for_admins(
    shared_gateway: Gateway, uuid: str
) -> None:
    problem_of(await shared_gateway.rest("GET", f"/users/{uuid}"), 401, "unauthenticated")
    problem_of(
        await shared_gateway.rest("GET", f"/users/{uuid}", shared_gateway.admin_key),
        404,
        "user-not-found",
    )


@pytest.mark.parametrize(
    "segment",
    [
        UNKNOWN.replace("-", ""),
        f"{{{UNKNOWN}}}",
        f"urn:uuid:{UNKNOWN}",
        UNKNOWN[:-1],
        UNKNOWN[:-1] + "g",
        UNKNOWN[:-1] + "٣",
        UNKNOWN.replace("-", "", 1) + "0",
    ],
)
async def test_any_other_form_is_a_name(shared_gateway: Gateway, segment: str) -> None:
    problem_of(await shared_gateway.rest("GET", f"/users/{segment}"), 404, "user-not-found")


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_the_login_takes_post_alone(shared_gateway: Gateway, verb: str) -> None:
    response = await shared_gateway.rest(verb, "/users/auth", shared_gateway.admin_key)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_self_is_who_asks(shared_gateway: Gateway, prefix: str) -> None:
    response = await shared_gateway.rest("GET", f"{prefix}/users/@self", shared_gateway.admin_key)
    assert response.json()["username"] == "admin"
    problem_of(await shared_gateway.rest("GET", f"{prefix}/users/@self"), 401, "unauthenticated")


@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
@pytest.mark.parametrize("name", ["alice", "@self"])
async def test_an_account_is_not_changed_by_its_name(
    shared_gateway: Gateway, verb: str, name: str
) -> None:
    body: dict[str, str] | None = {} if verb == "PUT" else None
    response = await shared_gateway.rest(
        verb, f"/users/{name}", shared_gateway.admin_key, json=body
    )
    assert response.status_code == (405 if name == "@self" else 404)


async def test_a_name_that_was_left_still_counts_as_taken(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    await gateway.rest("PATCH", "/users/@self", token, json={"username": "alicia"})
    for name in ("alice", "alicia"):
        assert (await gateway.rest("GET", f"/users/{name}")).status_code == 204
