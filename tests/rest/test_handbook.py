"""The handbook at `/handbook/`: every page complete, and nothing else."""

from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from app.rest.docs import POLICY
from tests.gateway import Gateway
from tests.rest.wire import problem_of
from tools.site import Page

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"


async def test_every_page_is_complete_and_every_link_leads_somewhere(
    shared_gateway: Gateway, tmp_path: Path
) -> None:
    names = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    pages: dict[str, Page] = {}
    for name in names:
        response = await shared_gateway.rest("GET", f"/handbook/{name}")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["content-security-policy"] == POLICY
        assert " style=" not in response.text, name
        assert "--8<--" not in response.text, name
        assert "```" not in response.text, name
        file = tmp_path / "page.html"
        file.write_text(response.text)
        pages[f"/handbook/{name}"] = Page(file)
    pages["/handbook/"] = pages["/handbook/index.html"]
    for entry in (await shared_gateway.rest("GET", "/handbook/search.json")).json():
        target, fragment = urldefrag(entry["address"])
        assert fragment in pages[target].anchors, entry
    others = set()
    for address, page in pages.items():
        for link in [*page.links, *page.fetched]:
            if urlsplit(link).scheme:
                assert link in page.links, f"{address} loads {link}"
                continue
            target, fragment = urldefrag(urljoin(address, link))
            if target in pages:
                assert fragment in pages[target].anchors, f"{address}: {link}"
            else:
                others.add(target)
    for target in others:
        response = await shared_gateway.rest("GET", target)
        assert response.status_code in {200, 503}, target  # 503: /health/ready of the fakes


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("changelog", ["Unreleased", 'href="reliability.html"']),
        ("security-policy", ["Reporting a vulnerability", 'href="security.html"']),
    ],
)
async def test_files_of_the_repository_are_pages(
    shared_gateway: Gateway, name: str, parts: list[str]
) -> None:
    page = (await shared_gateway.rest("GET", f"/handbook/{name}.html")).text
    assert [part for part in parts if part not in page] == []


async def test_every_page_is_in_the_navigation(shared_gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text((await shared_gateway.rest("GET", "/handbook/")).text)
    names = {str(path.relative_to(DOCS).with_suffix(".html")) for path in DOCS.rglob("*.md")}
    assert {f"/handbook/{name}" for name in names} <= set(Page(file).links)


SEARCHED = {
    "reset password": "sign-in-problems.html#reset-a-password",
    "backup restore": "backup.html#sqlite",
    "upgrade release": "upgrading.html#upgrade-a-release",
    "port in use": "troubleshooting.html#address-already-in-use-port-in-use",
    "forgotten admin key": "troubleshooting.html#lost-or-forgotten-admin-key-no-admin",
    "several machines": "moving.html",
    "out of memory": "troubleshooting.html#out-of-memory-the-process-was-killed",
    "disk full": "troubleshooting.html#disk-full-read-only-file-system-database-is-locked",
}


async def test_the_search_knows_every_page_and_section(shared_gateway: Gateway) -> None:
    entries = (await shared_gateway.rest("GET", "/handbook/search.json")).json()
    sections = {entry.pop("address"): entry for entry in entries}
    assert len(sections) == len(entries)
    words = {address: set(entry.pop("words").split()) for address, entry in sections.items()}
    page = "/handbook/credentials.html"
    assert sections[page] == {"page": "Credentials", "heading": ""}
    assert sections[f"{page}#passwords"] == {"page": "Credentials", "heading": "Passwords"}
    assert {"credentials", "passwords", "argon2id"} <= words[f"{page}#passwords"]
    assert "argon2id" not in words[page]
    # Words that operators search for, and the section that helps.
    for query, section in SEARCHED.items():
        assert set(query.split()) <= words[f"/handbook/{section}"], query


async def test_a_page_that_the_client_has_is_not_sent_again(shared_gateway: Gateway) -> None:
    first = await shared_gateway.rest("GET", "/handbook/errors.html")
    assert first.headers["cache-control"] == "public, max-age=3600"
    tag = first.headers["etag"]
    for known in (tag, f'"other", W/{tag}'):
        again = await shared_gateway.rest(
            "GET", "/handbook/errors.html", headers={"If-None-Match": known}
        )
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await shared_gateway.rest("GET", "/handbook/index.html", headers={"If-None-Match": tag})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("architecture.svg", "image/svg+xml"),
        ("pictures/docs.png", "image/png"),
        ("examples/nginx.conf", "text/plain; charset=utf-8"),
        ("upstreams/chat.openapi.json", "application/json"),
        ("decisions/index.html", "text/html; charset=utf-8"),
    ],
)
async def test_files_say_what_they_are(shared_gateway: Gateway, name: str, media_type: str) -> None:
    response = await shared_gateway.rest("GET", f"/handbook/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type


@pytest.mark.parametrize(
    "name",
    [
        "index.md",
        "nothing.html",
        "zensical.toml",
        "decisions",
        "decisions/",
        "..%2fpyproject.toml",
        "%2e%2e/pyproject.toml",
        "examples/%2e%2e/pyproject.toml",
        "%2fetc%2fpasswd",
    ],
)
async def test_no_other_file_can_be_requested(shared_gateway: Gateway, name: str) -> None:
    problem_of(await shared_gateway.rest("GET", f"/handbook/{name}"), 404, "not-found")


async def test_the_address_without_the_slash_leads_there(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("GET", "/handbook")
    assert (response.status_code, response.headers["location"]) == (308, "/handbook/")
