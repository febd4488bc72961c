"""The introduction of both documents says what the settings of the server say."""

import re
from datetime import timedelta

import pytest

from app.domain.rules import Rules
from app.http.introduction import introduce
from tests.gateway import Gateway


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("ttl", "words"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(seconds=5400), "90 minutes"),
        (timedelta(seconds=61), "61 seconds"),
    ],
)
def test_it_says_how_long_a_token_lives_and_how_to_renew_it(ttl: timedelta, words: str) -> None:
    text = flat(introduce(Rules(token_ttl=ttl), has_origins=False))
    assert f"A token is valid for {words}." in text
    assert "`users.refresh` (REST: `POST /users/@self/token`)" in text
    assert "until 90 days after the login" in text


def test_it_says_which_limits_apply() -> None:
    limited = flat(introduce(Rules(), has_origins=False))
    assert "100 logins may fail in 5 minutes" in limited
    assert "right password do not count" in limited
    text = flat(introduce(Rules(rate_limits=False), has_origins=False))
    assert "no rate limits" in text
    assert "100 logins" not in text
    assert "at most 1024 KiB" in text


def test_it_says_if_pages_may_call() -> None:
    none = flat(introduce(Rules(), has_origins=False))
    assert "No page of another origin may call this server from a browser, until" in none
    some = flat(introduce(Rules(), has_origins=True))
    assert "From a browser, only pages of the origins that the operator lists" in some
    for text in (none, some):
        assert "`GATEHOUSE_CORS_ORIGINS`" in text


@pytest.mark.anyio
@pytest.mark.parametrize("document", ["/openapi.json", "/rpc/openrpc.json"])
async def test_both_documents_contain_it(shared_gateway: Gateway, document: str) -> None:
    found = (await shared_gateway.rest("GET", document)).json()["info"]["description"]
    assert found.endswith(introduce(Rules(), has_origins=False).strip())
    links = re.findall(r"\]\((/handbook/.*?)\)", found)
    assert len(links) == 4
    for link in links:
        assert (await shared_gateway.rest("GET", link)).status_code == 200
