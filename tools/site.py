"""Look through a built site: no link may lead nowhere, and nothing may be fetched from elsewhere.

    python -m tools.site FOLDER

The generator checks the links of the Markdown; this checks what came of them, pictures, raw HTML
and the theme's own links among them.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a style sheet fetches.
FETCHED = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")


class Page(HTMLParser):
    """What one page points at, and where in it others may point."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors = {""}
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in {"href", "src", "data", "poster"}:
                (self.links if tag == "a" else self.fetched).append(value or "")


class Site:
    """A folder of pages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.pages = {path: Page(path) for path in sorted(self._folder.rglob("*.html"))}
        self._sheets = sorted(self._folder.rglob("*.css"))

    def flaws(self) -> Iterator[str]:
        """What is wrong, one sentence each."""
        for page in self.pages.values():
            for url in page.links:
                if not urlsplit(url).scheme:
                    yield from self._flaw(page.path, url)
            for url in page.fetched:
                yield from self._flaw(page.path, url)
        for sheet in self._sheets:
            for url in FETCHED.findall(sheet.read_text("utf-8")):
                yield from self._flaw(sheet, url)

    def _flaw(self, source: Path, url: str) -> Iterator[str]:
        parts, where = urlsplit(url), source.relative_to(self._folder)
        if parts.scheme == "data":
            return
        # The page that is answered at any address can only count from the top.
        base, path = source.parent, unquote(parts.path)
        if source.name == "404.html":
            base, path = self._folder, path.lstrip("/")
        target = (base / path).resolve() if path else source
        if parts.scheme or parts.netloc or path.startswith("/"):
            yield f"{where}: {url} is not of this site"
        elif not target.is_file() or not target.is_relative_to(self._folder):
            yield f"{where}: {url} leads nowhere"
        elif target in self.pages and unquote(parts.fragment) not in self.pages[target].anchors:
            yield f"{where}: {url} leads to no place in that page"


def main(folder: str) -> int:
    site = Site(Path(folder))
    flaws = sorted(set(site.flaws()))
    links = sum(len(page.links) + len(page.fetched) for page in site.pages.values())
    print(f"{folder}/index.html: {len(site.pages)} pages, {links} links, {len(flaws)} flaws")
    for flaw in flaws:
        print(flaw, file=sys.stderr)
    return 1 if flaws or not site.pages else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
