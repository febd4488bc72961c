"""What looks through the built site finds what is wrong with one."""

from pathlib import Path

import pytest

from tools.site import Site

PAGE = '<h2 id="here">Here</h2><a href="other/page.html#there">There</a><img src="picture.svg">'
OTHER = (
    '<p id="there"><a href="../index.html#here">Here</a> <a href="https://example.com/">Out</a></p>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site of two pages, a picture and a style sheet, with nothing wrong."""
    (tmp_path / "other").mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "other" / "page.html").write_text(OTHER)
    (tmp_path / "picture.svg").write_text("<svg/>")
    (tmp_path / "look.css").write_text("p { background: url(picture.svg), url(data:image/png,x) }")
    return tmp_path


def flaws(folder: Path) -> list[str]:
    return list(Site(folder).flaws())


def test_a_sound_site_has_no_flaw(folder: Path) -> None:
    assert flaws(folder) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "sentence"),
    [
        (
            "index.html",
            "page.html#",
            "gone.html#",
            "index.html: other/gone.html#there leads nowhere",
        ),
        ("index.html", "#there", "#gone", "page.html#gone leads to no place in that page"),
        ("index.html", "picture.svg", "gone.svg", "index.html: gone.svg leads nowhere"),
        ("index.html", "other/", "/other/", "/other/page.html#there is not of this site"),
        (
            "other/page.html",
            "../index",
            "../../index",
            "other/page.html: ../../index.html#here leads",
        ),
        ("other/page.html", '<a href="https', '<img src="https', "https://example.com/ is not of"),
        (
            "look.css",
            "picture.svg",
            "//example.com/p",
            "look.css: //example.com/p is not of this site",
        ),
        ("look.css", "picture.svg", "'gone.svg'", "look.css: gone.svg leads nowhere"),
    ],
)
def test_what_is_wrong_is_said(
    folder: Path, file: str, before: str, after: str, sentence: str
) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(before, after, 1))
    (found,) = flaws(folder)
    assert sentence in found


def test_the_page_for_what_is_not_there_counts_from_the_top(folder: Path) -> None:
    (folder / "404.html").write_text('<a href="/index.html">Start</a><a href="/gone.html">Gone</a>')
    assert flaws(folder) == ["404.html: /gone.html leads nowhere"]
