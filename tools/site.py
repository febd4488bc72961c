"""Check a built site for broken links and external resources.

    python -m tools.site FOLDER

The generator checks only links in Markdown; this also checks pictures, raw HTML and the theme. It
also finds includes that the generator left as they are, since it did not recognize them.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# URLs that a style sheet fetches.
FETCHED = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")
INCLUDE = re.compile(r"^.*-+8<-+.*$", re.MULTILINE)


class Page(HTMLParser):
    """Links, resources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors = {""}
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in {"href", "src", "data", "poster"}:
                (self.links if tag == "a" else self.fetched).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


class Site:
    """A folder of pages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.pages = {path: Page(path) for path in sorted(self._folder.rglob("*.html"))}
        self._sheets = sorted(self._folder.rglob("*.css"))

    def find_problems(self) -> Iterator[str]:
        """Yield a sentence for each problem."""
        for page in self.pages.values():
            for url in page.links:
                if not urlsplit(url).scheme:
                    yield from self._check_url(page.path, url)
            for url in page.fetched:
                yield from self._check_url(page.path, url)
            for include in INCLUDE.findall(page.text):
                yield f"{page.path.relative_to(self._folder)}: {include.strip()} is not resolved"
        for sheet in self._sheets:
            for url in FETCHED.findall(sheet.read_text("utf-8")):
                yield from self._check_url(sheet, url)

    def _check_url(self, source: Path, url: str) -> Iterator[str]:
        parts, where = urlsplit(url), source.relative_to(self._folder)
        if parts.scheme == "data":
            return
        # The page for unknown addresses is served at any path: links are relative to the root.
        base, path = source.parent, unquote(parts.path)
        if source.name == "404.html":
            base, path = self._folder, path.lstrip("/")
        target = (base / path).resolve() if path else source
        if parts.scheme or parts.netloc or path.startswith("/"):
            yield f"{where}: {url} is external"
        elif not target.is_file() or not target.is_relative_to(self._folder):
            yield f"{where}: {url} does not exist"
        elif target in self.pages and unquote(parts.fragment) not in self.pages[target].anchors:
            yield f"{where}: {url} has an unknown fragment"


def main(folder: str) -> int:
    site = Site(Path(folder))
    problems = sorted(set(site.find_problems()))
    links = sum(len(page.links) + len(page.fetched) for page in site.pages.values())
    print(f"{folder}/index.html: {len(site.pages)} pages, {links} links, {len(problems)} problems")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems or not site.pages else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
