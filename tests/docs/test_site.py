"""Test that the check of the built site finds problems."""

from pathlib import Path

import pytest

from tools.site import Site

PAGE = '<h2 id="here">Here</h2><a href="other/page.html#there">There</a><img src="picture.svg">'
OTHER = (
    '<p id="there"><a href="../index.html#here">Here</a> <a href="https://example.com/">Out</a></p>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a correct site of two pages, a picture and a style sheet."""
    (tmp_path / "other").mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "other" / "page.html").write_text(OTHER)
    (tmp_path / "picture.svg").write_text("<svg/>")
    (tmp_path / "look.css").write_text("p { background: url(picture.svg), url(data:image/png,x) }")
    return tmp_path


def problems(folder: Path) -> list[str]:
    return list(Site(folder).find_problems())


def test_a_correct_site_has_no_problems(folder: Path) -> None:
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "sentence"),
    [
        (
            "index.html",
            "page.html#",
            "gone.html#",
            "index.html: other/gone.html#there does not exist",
        ),
        ("index.html", "#there", "#gone", "page.html#gone has an unknown fragment"),
        ("index.html", "picture.svg", "gone.svg", "index.html: gone.svg does not exist"),
        ("index.html", "other/", "/other/", "/other/page.html#there is external"),
        (
            "other/page.html",
            "../index",
            "../../index",
            "other/page.html: ../../index.html#here does not exist",
        ),
        (
            "other/page.html",
            '<a href="https',
            '<img src="https',
            "https://example.com/ is external",
        ),
        (
            "look.css",
            "picture.svg",
            "//example.com/p",
            "look.css: //example.com/p is external",
        ),
        ("look.css", "picture.svg", "'gone.svg'", "look.css: gone.svg does not exist"),
        (
            "index.html",
            "Here",
            "<pre>--8&lt;-- sample.py\n</pre>",
            "index.html: --8<-- sample.py is not resolved",
        ),
    ],
)
def test_a_flaw_is_reported(
    folder: Path, file: str, before: str, after: str, sentence: str
) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(before, after, 1))
    (found,) = problems(folder)
    assert sentence in found


def test_links_of_the_404_page_are_relative_to_the_root(folder: Path) -> None:
    (folder / "404.html").write_text('<a href="/index.html">Start</a><a href="/gone.html">Gone</a>')
    assert problems(folder) == ["404.html: /gone.html does not exist"]
