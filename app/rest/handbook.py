"""The handbook: the Markdown files of docs/ as pages at `/handbook/`.

A page is rendered at its first request. The wheel contains the files, so nothing is built before.
"""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Header
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.domain.errors import NotFound
from app.http import json
from app.http.request import JSON, context_of
from app.rest.docs import CACHED, POLICY, read_template
from app.rest.operation_route import StrictRoute, make_router
from app.runtime.single_flight import cached_by_threads

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PACKAGE = Path(__file__).resolve().parents[1]
# The wheel has these files inside the package (pyproject.toml); a checkout has them beside it.
_PACKAGED = _PACKAGE / "handbook"
_ROOT = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent
_DOCS = _ROOT / "docs"
_INDEX = "index.html"
_SEARCH = "search.json"
_MEDIA_TYPES = {
    "html": "text/html",
    "json": JSON,
    "png": "image/png",
    "svg": "image/svg+xml",
}
_INCLUDE = '--8<-- "'
_HEADINGS = {f"h{level}" for level in range(1, 7)}

Headers = Annotated[str, Header(include_in_schema=False)]

router = make_router(StrictRoute, include_in_schema=False)


@router.get("/handbook")
async def handbook(request: Request) -> Response:
    return RedirectResponse(context_of(request.scope).link_to("/handbook/"), status_code=308)


@router.get("/handbook/")
def index(request: Request, if_none_match: Headers = "") -> Response:
    return _respond(request, _INDEX, if_none_match)


@router.get("/handbook/{name}")
def page(request: Request, name: str, if_none_match: Headers = "") -> Response:
    return _respond(request, name, if_none_match)


@router.get("/handbook/{folder}/{name}")
def page_in_folder(
    request: Request, folder: str, name: str, if_none_match: Headers = ""
) -> Response:
    return _respond(request, f"{folder}/{name}", if_none_match)


def _respond(request: Request, name: str, known: str) -> Response:
    """Return a file, or 304 if the client has it."""
    context = context_of(request.scope)
    if name not in _sources():
        listed = context.link_to("/handbook/")
        raise NotFound(f"The handbook has no such page. Its pages are listed at {listed}.")
    body, tag = _content(name, context.base_path)
    headers = {"Cache-Control": CACHED, "Content-Security-Policy": POLICY, "ETag": tag}
    if tag in {part.strip().removeprefix("W/") for part in known.split(",")}:
        return Response(status_code=304, headers=headers)
    media_type = _MEDIA_TYPES.get(name.rpartition(".")[2], "text/plain")
    return Response(body, headers=headers, media_type=media_type)


@cache
def _sources() -> dict[str, Path]:
    """Return the files of the handbook by name. Nothing else can be requested."""
    found = [path for path in _DOCS.rglob("*") if path.is_file()]
    named = {_as_page(str(path.relative_to(_DOCS))): path for path in found}
    return {**named, _SEARCH: _DOCS}


def _as_page(name: str) -> str:
    """Return the name of the page of a Markdown file; other names remain."""
    return f"{name.removesuffix('.md')}.html" if name.endswith(".md") else name


@cached_by_threads
def _content(name: str, base_path: str) -> tuple[bytes, str]:
    """Return a file, with the base path in its links, and its entity tag."""
    if name == _SEARCH:
        body = json.dump([*_sections(base_path)])
    elif name.endswith(".html"):
        body = _render(name, base_path).encode()
    else:
        body = _sources()[name].read_bytes()
    return body, f'"{sha256(body).hexdigest()[:32]}"'


def _render(name: str, base_path: str) -> str:
    """Return a page."""
    content, _ = _convert(name)
    title = _title(name)
    return read_template("handbook.html").substitute(
        base=base_path,
        title="Gatehouse: handbook" if name == _INDEX else f"{escape(title)}: Gatehouse",
        navigation=_navigation(_entries(), name, f"{base_path}/handbook"),
        content=content,
    )


@cache
def _convert(name: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the HTML of a Markdown file, and its headings as the library nests them."""
    # Most processes end without a request for a page.
    from markdown import Markdown
    from markdown.extensions.tables import TableExtension
    from markdown.treeprocessors import Treeprocessor

    class Links(Treeprocessor):
        """Turns links to Markdown files into links to their pages."""

        def run(self, root: "Element") -> None:
            for link in root.iter("a"):
                address, hash_sign, fragment = link.get("href", "").partition("#")
                if "://" not in address:
                    link.set("href", f"{_as_page(address)}{hash_sign}{fragment}")

    converter = Markdown(
        extensions=[
            "attr_list",
            "fenced_code",
            "toc",
            # The pages' policy allows no inline styles.
            TableExtension(use_align_attribute=True),
        ],
        extension_configs={"toc": {"permalink": True, "permalink_title": "Link to this section"}},
    )
    # After the links of the text (20), which this sees then.
    converter.treeprocessors.register(Links(converter), "pages", 15)
    text = _sources()[name].read_text("utf-8")
    html = converter.convert("\n".join(map(_prepare, text.splitlines())))
    return html, getattr(converter, "toc_tokens", [])


def _prepare(line: str) -> str:
    """Replace what only the generator of the site knows: included files, and titles of blocks."""
    if line.startswith(_INCLUDE):
        name = line.removeprefix(_INCLUDE).removesuffix('"')
        # CHANGELOG.md and SECURITY.md are beside docs/.
        file = next(file for file in (_ROOT / name, _DOCS / name) if file.is_file())
        return file.read_text("utf-8").rstrip()
    fence, has_title, title = line.partition(' title="')
    if has_title and fence.startswith("```"):
        title = title.removesuffix('"')
        return f"**{title}**\n\n{fence}"
    return line


@cache
def _entries() -> list[Any]:
    """Return the navigation: each entry is a file, or a title with a file or entries."""
    import tomllib

    project = tomllib.loads((_ROOT / "zensical.toml").read_text("utf-8"))["project"]
    entries: list[Any] = project["nav"]
    return entries


def _flat(entries: list[Any]) -> Iterator[tuple[str | None, str]]:
    """Yield the title in the navigation, if any, and the name of each page."""
    for entry in entries:
        if isinstance(entry, str):
            yield None, _as_page(entry)
            continue
        ((title, inner),) = entry.items()
        if isinstance(inner, str):
            yield title, _as_page(inner)
        else:
            yield from _flat(inner)


@cache
def _titles() -> dict[str, str | None]:
    return {name: title for title, name in _flat(_entries())}


def _title(name: str) -> str:
    """Return the title of a page in the navigation, otherwise its first heading."""
    if title := _titles().get(name):
        return title
    return _sources()[name].read_text("utf-8").partition("\n")[0].removeprefix("# ")


def _navigation(entries: list[Any], current: str, at: str) -> str:
    """Return links to the pages below the path `at`, as nested lists."""
    items = []
    for entry in entries:
        if isinstance(entry, dict):
            ((title, inner),) = entry.items()
            if isinstance(inner, list):
                nested = _navigation(inner, current, at)
                items.append(f"<li><span>{escape(title)}</span>{nested}</li>")
                continue
        ((_, name),) = _flat([entry])
        mark = ' aria-current="page"' if name == current else ""
        items.append(f'<li><a href="{at}/{name}"{mark}>{escape(_title(name))}</a></li>')
    return f"<ul>{''.join(items)}</ul>"


def _sections(base_path: str) -> Iterator[dict[str, str]]:
    """Yield every section of the pages in the navigation, with its words, for the search."""
    for name, title in _titles().items():
        page = title or _title(name)
        address = f"{base_path}/handbook/{name}"
        html, tokens = _convert(name)
        words = _words_by_heading(html, page)
        waiting = [inner for token in tokens for inner in token["children"]]
        # The text before the second heading has the page's own address.
        begin = {words.pop(token["id"], "") for token in tokens}
        yield {"page": page, "heading": "", "address": address, "words": " ".join(sorted(begin))}
        while waiting:
            token = waiting.pop(0)
            waiting[:0] = token["children"]
            yield {
                "page": page,
                "heading": token["name"],
                "address": f"{address}#{token['id']}",
                "words": words[token["id"]],
            }


def _words_by_heading(html: str, page: str) -> dict[str, str]:
    """Return the words of each section and of the page's title, by the id of the heading."""
    reader = _SectionReader()
    reader.feed(html)
    reader.close()
    texts = {heading: f"{page} {' '.join(parts)}" for heading, parts in reader.sections.items()}
    return {heading: " ".join(_distinct_words(text)) for heading, text in texts.items()}


class _SectionReader(HTMLParser):
    """The texts of a page by the id of the heading above them."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str, list[str]] = {}
        self._current: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a section at a heading."""
        heading = dict(attrs).get("id")
        if heading is not None and tag in _HEADINGS:
            self._current = self.sections[heading] = []

    def handle_data(self, data: str) -> None:
        """Add a text to the section."""
        self._current.append(data)


def _distinct_words(text: str) -> list[str]:
    """Return the words in lower case, once each, without the punctuation around them."""
    separated = "".join(c if c.isalnum() or c in "_.-" else " " for c in text.lower())
    return sorted({word.strip(".-") for word in separated.split()} - {""})
