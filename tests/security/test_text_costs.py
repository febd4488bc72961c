"""The processor time of a text: none takes longer than a moment.

The dearest texts are combining marks out of order: to sort them, a normalization takes the square
of their number. 64,000 of them, in a body of 128 kB, are seconds; a megabyte is minutes.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from time import process_time
from typing import Any, get_args, get_type_hints

import pytest

from app.domain.credentials import KEY_NAME_MAX, parse_key_name
from app.domain.emoji import prepare_around_emoji, remove_emoji
from app.domain.errors import DomainError
from app.domain.names import (
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    IMPORTED_MAX,
    Email,
    ReservedNames,
    Username,
    parse_display_name,
    parse_stored_username,
)
from app.domain.passwords import PASSWORD_MAX, validate_new_password
from app.domain.text import nfc, nfd
from app.domain.ts39 import skeleton
from app.domain.users import SEARCH_MAX, UserFilter
from app.http.params import call_example
from app.rpc.methods import METHODS
from tests.gateway import Gateway

pytestmark = pytest.mark.anyio

# Below and above the letter in turn, so that each is out of order.
MARKS = "\u0301\u0327"
FLOOD = "a" + MARKS * 32_000
# Far more than is needed, far less than a flood takes.
A_MOMENT = 0.5


def takes_text(hint: Any) -> bool:
    return hint is str or any(takes_text(part) for part in get_args(hint))


TEXTS = [
    (name, member)
    for name, method in METHODS.items()
    for member, hint in get_type_hints(method.operation.input).items()
    if takes_text(hint)
]


@pytest.mark.parametrize(("name", "member"), TEXTS)
async def test_a_flood_of_marks_costs_nothing_in_any_parameter(
    gateway: Gateway, name: str, member: str
) -> None:
    operation = METHODS[name].operation
    is_list = "list" in str(get_type_hints(operation.input)[member])
    params = {**call_example(operation), member: [FLOOD] if is_list else FLOOD}
    body = json.dumps(
        {"jsonrpc": "2.0", "method": name, "params": params, "id": 1}, ensure_ascii=False
    )
    headers = {"X-Access-Token": gateway.admin_key, "Content-Type": "application/json"}
    begun = process_time()
    response = await gateway.client.post("/rpc", content=body.encode(), headers=headers)
    assert process_time() - begun < A_MOMENT
    assert response.status_code == 200


async def test_a_flood_of_marks_costs_nothing_as_the_name_of_a_method_or_member(
    gateway: Gateway,
) -> None:
    begun = process_time()
    for call in ({"method": FLOOD}, {"method": "users.check", "params": {FLOOD: 1}}):
        body = json.dumps({"jsonrpc": "2.0", "id": FLOOD, **call}, ensure_ascii=False)
        headers = {"Content-Type": "application/json"}
        assert (
            await gateway.client.post("/rpc", content=body.encode(), headers=headers)
        ).is_success
    assert process_time() - begun < A_MOMENT


def searched(text: str) -> None:
    _ = UserFilter(text=text).username_part, UserFilter(text=text).email_parts


# What prepares a text, and the longest that it may look at.
PREPARED: dict[str, tuple[Callable[[str], object], int]] = {
    "username": (Username.parse, 8 * 16),
    "name looked up": (parse_stored_username, 8 * IMPORTED_MAX),
    "reserved name": (lambda text: ReservedNames.from_config([text]), 8 * IMPORTED_MAX),
    "display name": (parse_display_name, 8 * DISPLAY_NAME_MAX),
    "password": (
        lambda text: validate_new_password(text, username="a", email=None),
        4 * PASSWORD_MAX,
    ),
    "e-mail": (Email.parse, EMAIL_MAX),
    "search": (searched, SEARCH_MAX),
    "key name": (parse_key_name, 8 * KEY_NAME_MAX),
    "emoji": (lambda text: prepare_around_emoji(str, text), 1024),
    "without emoji": (remove_emoji, 1024),
    "skeleton": (skeleton, 256),
}


@pytest.mark.parametrize(("prepare", "longest"), PREPARED.values(), ids=PREPARED)
def test_the_dearest_text_that_is_looked_at_costs_little(
    prepare: Callable[[str], object], longest: int
) -> None:
    for text in (
        "a" + MARKS * (longest // 2),
        "b\u0660" * (longest // 2),
        "\ufdfa" * longest,
        "❤️\u200d" * (longest // 3),
        "xn--" * (longest // 4),
        "a@" + "\u00e9." * (longest // 2),
    ):
        begun = process_time()
        with suppress(DomainError, ValueError):
            prepare(text[:longest])
        assert process_time() - begun < A_MOMENT / 5


def test_a_text_that_is_too_long_is_not_looked_at() -> None:
    for prepare, _ in PREPARED.values():
        begun = process_time()
        with suppress(DomainError, ValueError):
            prepare(FLOOD)
        assert process_time() - begun < A_MOMENT / 5


def test_the_cost_of_marks_is_the_square_of_their_number() -> None:
    """Else none of this would be needed."""

    def cost(count: int) -> float:
        text = "a" + MARKS * (count // 2)
        begun = process_time()
        nfc(text, count + 1)
        nfd(text, count + 1)
        return process_time() - begun

    assert cost(8000) > 6 * cost(2000)
