"""Find private words and questions as docstrings: `python -m tools.language [PATH …]`.

With paths it checks what is below them, otherwise all files of the source distribution:
docstrings, comments, the string literals that read as sentences (not those of tests, which are
data), names of tests, and documentation outside of code.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hatchling.builders.sdist import SdistBuilder

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "tools" / "language.toml"

_QUESTION = re.compile(
    r"(What|Whether|Who|Whoever|Whose|Whom|Where|How|When|Which|Why)\b", re.IGNORECASE
)
_PROSE = {".md", ".html"}
_DATA = {".json", ".txt", ".svg", ".png", ".ico"}
_UNREAD = {"LICENSE", "tools/language.toml"}

# Code within prose: fenced blocks, spans, link targets, and what HTML does not show.
_FENCE = re.compile(r"^(`{3,}).*?^\1", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|<(script|style|code)\b.*?</\1>|<[^>]*>", re.DOTALL)
# A comment that fills its line, or what `make` prints as help.
_COMMENT = re.compile(r"^\s*(?:#+|//|/\*+|\*|--)\s(.*)$|\s##\s(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """A text that people read, and the line where it begins."""

    line: int
    content: str
    # A text that is a noun or an imperative: 'docstring', 'test name'; '' for any other.
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A phrase to rewrite."""

    path: PurePosixPath
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


class Words:
    """The private words, each with what to write instead."""

    def __init__(self, replacements: Mapping[str, str]) -> None:
        self._patterns = [
            (re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE), instead)
            for pattern, instead in replacements.items()
        ]

    def find(self, text: Text) -> Iterator[tuple[int, str]]:
        """Yield the line and description of each private word in `text`."""
        content = _CODE.sub(_blank, text.content)
        for pattern, instead in self._patterns:
            for match in pattern.finditer(content):
                line = text.line + content.count("\n", 0, match.start())
                yield line, f"'{' '.join(match[0].split())}' (write: {instead})"


def find_problems(path: PurePosixPath, source: str, words: Words) -> list[Finding]:
    """Return what is to be rewritten in a file, in the order of its lines."""
    found: set[Finding] = set()
    for text in _texts(path, source):
        found.update(Finding(path, line, problem) for line, problem in words.find(text))
        if text.kind and (question := _QUESTION.match(text.content.lstrip())):
            problem = f"a {text.kind} begins with '{question[0]}' (write: an imperative or a noun)"
            found.add(Finding(path, text.line, problem))
    return sorted(found, key=lambda finding: (finding.line, finding.problem))


def _texts(path: PurePosixPath, source: str) -> Iterator[Text]:
    if path.suffix == ".py":
        yield from _python_texts(source, is_test=path.parts[0] == "tests")
    elif path.suffix in _PROSE:
        yield Text(1, _FENCE.sub(_blank, source))
    else:
        for match in _COMMENT.finditer(source):
            line = source.count("\n", 0, match.start(match.lastindex or 0)) + 1
            yield Text(line, match[1] or match[2])


def _python_texts(source: str, is_test: bool) -> Iterator[Text]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)
    docstrings: set[ast.expr] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                match node.body[:1]:
                    case [ast.Expr(value=ast.Constant(value=str()) as docstring)]:
                        docstrings.add(docstring)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_test:
                    name = node.name.removeprefix("test_")
                    kind = "" if name == node.name else "test name"
                    yield Text(node.lineno, name.replace("_", " "), kind)
            case ast.Constant(value=str(content)):
                if node in docstrings:
                    yield Text(node.lineno, content, "docstring")
                elif not is_test and " " in content.strip():
                    yield Text(node.lineno, content)


def _blank(code: re.Match[str]) -> str:
    return "\n" * code[0].count("\n") or " "


def _files() -> Iterator[PurePosixPath]:
    # Those of the source distribution, where there is no repository to ask.
    found = SdistBuilder(str(ROOT)).recurse_included_files()
    for path in sorted(PurePosixPath(file.relative_path) for file in found):
        if path.suffix not in _DATA and str(path) not in _UNREAD:
            yield path


def main(arguments: Sequence[str]) -> int:
    """Print the findings and return the exit status."""
    words = Words(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["words"])
    files = list(_files())
    if arguments:
        below = [Path(argument).resolve().relative_to(ROOT) for argument in arguments]
        files = [path for path in files if any(path.is_relative_to(folder) for folder in below)]
    findings = [
        finding
        for path in files
        for finding in find_problems(path, (ROOT / path).read_text(encoding="utf-8"), words)
    ]
    for finding in findings:
        print(finding)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
