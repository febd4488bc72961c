"""The fenced blocks of README and `docs/`, in the order in which a reader meets them."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```\n',
    re.MULTILINE | re.DOTALL,
)
INCLUDE = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
COMMANDS = {"sh", "console", "sql"}
SAMPLES = {"python", "javascript", "html", "php", "go", "java"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    A title says where it belongs: the file of a sample, or the place of commands that cannot run
    in a checkout. `output` is the block directly below commands.
    """

    language: str
    title: str | None
    text: str
    output: str = ""


def reading_order() -> list[str]:
    """Return the pages from the repository's root: README, then those of the navigation."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))
    return ["README.md", *(f"docs/{page}" for page in _leaves(site["project"]["nav"]))]


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(inner)


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page; an output belongs to the commands directly above it."""
    text = (ROOT / page).read_text("utf-8")
    found: list[Block] = []
    end = -1
    for match in FENCE.finditer(text):
        language, title = match["language"], match["title"]
        inner = INCLUDE.sub(
            lambda name: (DOCS / name[1]).read_text("utf-8").rstrip(), match["text"]
        )
        is_output = match.start() == end and title is None and language not in COMMANDS | SAMPLES
        if is_output and found[-1].language in COMMANDS:
            found[-1] = Block(found[-1].language, found[-1].title, found[-1].text, inner)
        else:
            found.append(Block(language, title, inner))
        end = match.end()
    assert text.count("\n```") == 2 * len(FENCE.findall(text)), f"{page} has an unreadable fence"
    return found
