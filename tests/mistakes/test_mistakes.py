"""Every mistake is refused, and the answer says how to go on and repeats no secret."""

from collections.abc import Sequence
from urllib.parse import quote

import pytest

from tests.fakes.services import PASSWORD
from tests.mistakes.answers import Answer, Made, opened, send
from tests.mistakes.answers import made as make_all
from tests.mistakes.collection import Known, Mistake, Sent, call, rpc
from tests.mistakes.collection import sent as rest

pytestmark = pytest.mark.anyio

# Longer sentences are not read.
SENTENCE_MAX = 600
ASKED = "Access-Control-Request-Method"


@pytest.fixture(scope="module")
async def made() -> tuple[Known, Sequence[Made]]:
    async with opened() as gateway:
        return await make_all(gateway)


def failures(made: Sequence[Made], condition: object) -> list[str]:
    assert callable(condition)
    return [
        f"{mistake.what} ({answer.api}): {answer.sentence}"
        for _, mistake, answer in made
        if not condition(mistake, answer)
    ]


async def test_every_mistake_is_refused(made: tuple[Known, Sequence[Made]]) -> None:
    def is_refused(_: Mistake, answer: Answer) -> bool:
        return bool(answer.slug) and (answer.code < 0 or 400 <= answer.code < 500)

    assert failures(made[1], is_refused) == []


async def test_every_answer_says_what_helps(made: tuple[Known, Sequence[Made]]) -> None:
    assert failures(made[1], lambda mistake, answer: mistake.says in answer.sentence) == []


async def test_a_sentence_about_a_member_points_at_it(made: tuple[Known, Sequence[Made]]) -> None:
    def is_pointed_at(_: Mistake, answer: Answer) -> bool:
        name, colon, _rest = answer.sentence.partition(": ")
        return not (colon and name.isidentifier()) or bool(answer.places)

    assert failures(made[1], is_pointed_at) == []


async def test_every_sentence_is_short_and_complete(made: tuple[Known, Sequence[Made]]) -> None:
    def is_sentence(_: Mistake, answer: Answer) -> bool:
        return 10 < len(answer.sentence) <= SENTENCE_MAX and "None." not in answer.sentence

    assert failures(made[1], is_sentence) == []


async def test_no_answer_repeats_a_credential(made: tuple[Known, Sequence[Made]]) -> None:
    known, answers = made
    secrets = {
        *known.token.split("."),
        *known.other_token.split("."),
        *known.expired_token.split("."),
        known.key[9:],
        known.key.replace("-", ""),
        PASSWORD,
    }

    def is_discreet(_: Mistake, answer: Answer) -> bool:
        return not any(secret.lower() in answer.received.lower() for secret in secrets)

    assert failures(answers, is_discreet) == []


@pytest.mark.parametrize("place", ["{}", "x{}", "{}.json", "{} x"])
async def test_no_answer_repeats_a_credential_that_is_sent_as_a_name(place: str) -> None:
    async with opened() as gateway:
        key, token = gateway.admin_key, await gateway.user("alice")
        for secret in (key, token):
            name = place.format(secret)
            admin = {"X-Access-Token": key}
            for sent in (
                call(name),
                call("users.create", {name: 1}),
                call("users.check", None, **{name: 1}),
                rpc({name: 1, "jsonrpc": name}),
                Sent("GET", f"/users/{quote(name)}/x"),
                Sent("GET", f"/users/{quote(name)}", (("X-Access-Token", key),)),
                Sent("DELETE", f"/users/{quote(name)}", (("X-Access-Token", key),)),
                Sent("GET", f"/users?{quote(name)}=1", (("X-Access-Token", key),)),
                Sent("GET", f"/users/@self?{quote(name)}=1", (("X-Access-Token", key),)),
                Sent("POST", "/users/@self", (("Content-Type", name),), b"{}"),
                rest("POST", "/users/@self", {name: 1}),
                rest("PUT", "/users/@self/presence", {name: 1}, headers=admin),
                rest("POST", "/users/@self", f'{{"{name}": 1, "{name}": 2}}'.encode()),
                Sent("OPTIONS", "/rpc", (("Origin", name), (ASKED, "POST"))),
                Sent("GET", f"/errors/{quote(name)}"),
            ):
                response = await send(gateway, sent)
                assert not response.text or secret[9:] not in f"{response}", sent


async def test_both_apis_have_one_error_for_one_mistake(
    made: tuple[Known, Sequence[Made]],
) -> None:
    """As far as the call is read; what is wrong with the HTTP request may come before it."""
    slugs: dict[tuple[str, str], set[str]] = {}
    for subject, mistake, answer in made[1]:
        if mistake.rpc is None or mistake.rest is None:
            continue
        if answer.api == "REST" or answer.code < 0:
            slugs.setdefault((subject, mistake.what), set()).add(answer.slug)
    assert len(slugs) > 100
    assert [what for what, found in slugs.items() if len(found) > 1] == []
