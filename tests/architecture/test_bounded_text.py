"""No text reaches a normalization, PRECIS, IDNA or a regular expression unbounded.

All of these may take the square of a text's length or more. They are called in `app/domain/text.py`
alone, and there each text that is handed to them was cut off by `bounded` or compared with a bound.
This looks at the syntax tree of all of `app/`, so new code has to keep to it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"
HOME = APP / "domain" / "text.py"
# Whatever is imported from these looks at a text for as long as it likes.
COSTLY = {
    *("re", "regex", "sre_compile", "difflib", "fnmatch", "glob", "textwrap"),
    *("stringprep", "precis_i18n", "email_validator", "idna", "encodings", "wcwidth"),
}
# Of these modules, only what looks at one character, or once over the text.
PLAIN = {
    "shlex": {"quote"},
    "unicodedata": {"category", "combining", "east_asian_width", "unidata_version"},
    "urllib.parse": {
        "quote",
        "quote_plus",
        "unquote",
        "urlencode",
        "parse_qsl",
        "unquote_to_bytes",
    },
}
# `urlsplit` normalizes a host; there the operator's own settings are split.
OF_SETTINGS = {"app/setting_values.py", "app/settings.py", "app/cli/doctor.py"}
CODECS = {"idna", "punycode"}
# In HOME: what is called on something costly, and which of its arguments is the text.
CALLS = {
    "normalize": 1,
    "validate_email": 0,
    "urlsplit": 0,
    "enforce": 0,
    "fullmatch": 0,
    "search": 0,
    "sub": 1,
}


def is_costly(module: str, name: str) -> bool:
    if module.partition(".")[0] in COSTLY:
        return True
    return module in PLAIN and name not in PLAIN[module]


def costly_imports(tree: ast.AST) -> Iterator[str]:
    """The imports and calls of a module that may take long for a long text."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if is_costly(alias.name, ""))
            case ast.ImportFrom(module=str(module), names=names):
                found = (alias.name for alias in names if is_costly(module, alias.name))
                yield from (f"{module}.{name}" for name in found)
            case ast.Call(
                func=ast.Attribute(attr="import_module" | "__import__"), args=[first, *_]
            ):
                if isinstance(first, ast.Constant) and is_costly(str(first.value), ""):
                    yield str(first.value)
            case ast.Call(func=ast.Attribute(attr="encode" | "decode"), args=[first, *_]):
                if isinstance(first, ast.Constant) and first.value in CODECS:
                    yield f"the codec {first.value}"
            case ast.keyword(arg="pattern" | "regex"):
                yield f"a pattern of a library's, in line {node.value.lineno}"
            case _:
                pass


def unbounded_calls(function: ast.FunctionDef) -> Iterator[str]:
    """Calls in a function that hand on a text of any length."""
    bounded = names_bounded_in(function)
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in CALLS:
                text = node.args[CALLS[name]]
                if not is_bounded(text, bounded) and not is_compared(text, function, node):
                    yield f"{function.name}: {ast.unparse(node)}"
            case ast.Attribute(attr="encode" | "decode", value=text) if is_codec(node):
                if not is_bounded(text, bounded):
                    yield f"{function.name}: {ast.unparse(node)}"
            case _:
                pass


def is_codec(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and first.value in CODECS


def names_bounded_in(function: ast.FunctionDef) -> set[str]:
    """Names that are assigned nothing but what is bounded."""
    assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
    names: set[str] = set()
    for node in assigned:
        targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if is_bounded(node.value, names):
            names |= targets
        else:
            names -= targets
    return names


def is_bounded(text: ast.expr, names: set[str]) -> bool:
    match text:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in names
        case ast.Call(func=ast.Name(id="bounded")):
            return True
        case ast.Call(func=ast.Attribute(value=inner)) | ast.Subscript(value=inner):
            # A method of a bounded text, or a part of it.
            return is_bounded(inner, names)
        case _:
            return False


def is_compared(text: ast.expr, function: ast.FunctionDef, call: ast.Call) -> bool:
    """Find out if the call is made only for a text within a maximum length."""
    wanted = ast.unparse(text)
    return any(
        isinstance(node, ast.IfExp)
        and ast.unparse(node.test).startswith(f"len({wanted}) > ")
        and any(inner is call for inner in ast.walk(node.orelse))
        for node in ast.walk(function)
    )


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    "path", sorted(APP.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_functions_slow_for_long_texts_are_called_in_one_module(path: Path) -> None:
    if path == HOME:
        return
    found = set(costly_imports(ast.parse(path.read_text("utf-8"))))
    if str(path.relative_to(ROOT)) in OF_SETTINGS:
        found.discard("urllib.parse.urlsplit")
    assert not found, "use app/domain/text.py, whose functions take a bound"


def test_there_every_text_is_bounded_first() -> None:
    tree = ast.parse(HOME.read_text("utf-8"))
    inside = [call for function in functions(tree) for call in unbounded_calls(function)]
    assert inside == []
    # Nothing is called outside of functions but to make what is called later.
    outside = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = {id(node) for function in functions(tree) for node in ast.walk(function)}
    made = {ast.unparse(node.func) for node in outside if id(node) not in calls}
    assert made.isdisjoint(CALLS)


def test_the_search_sees_the_calls_that_there_are() -> None:
    """A search that sees nothing finds nothing wrong either."""
    tree = ast.parse(HOME.read_text("utf-8").replace("bounded(text, ", "len(text, "))
    found = {
        call.partition(":")[0] for function in functions(tree) for call in unbounded_calls(function)
    }
    assert found >= {"nfc", "nfd", "nfkc", "enforce", "email_address", "url_parts", "search", "sub"}
    assert found >= {"to_half_width", "decode_a_labels"}


@pytest.mark.parametrize(
    "source",
    [
        "import re",
        "import re as r",
        "from re import compile as make",
        "import unicodedata",
        "from unicodedata import normalize",
        "from unicodedata import is_normalized",
        "import importlib\nimportlib.import_module('re')",
        "from urllib.parse import urlsplit",
        "import urllib.parse",
        "from precis_i18n import get_profile",
        "from precis_i18n.profile import Nickname",
        "from email_validator import validate_email",
        "from difflib import get_close_matches",
        "host.encode('idna')",
        "Field(pattern='(a+)+')",
    ],
)
def test_the_search_finds_what_looks_at_texts(source: str) -> None:
    assert list(costly_imports(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("def f(t): return normalize('NFC', t)", False),
        ("def f(t): return normalize('NFC', bounded(t, 9))", True),
        ("def f(t):\n t = bounded(t, 9)\n return normalize('NFC', t)", True),
        ("def f(t):\n u = bounded(t, 9)\n return normalize('NFC', t)", False),
        ("def f(t):\n u = bounded(t, 9)\n u = t\n return normalize('NFC', u)", False),
        ("def f(t): return normalize('NFC', t.strip())", False),
        ("def f(t): return normalize('NFC', bounded(t, 9).strip())", True),
        ("def f(p, t): return None if len(t) > 9 else p.fullmatch(t)", True),
        ("def f(p, t): return p.fullmatch(t) if len(t) > 9 else None", False),
        ("def f(p, t, u): return None if len(u) > 9 else p.fullmatch(t)", False),
        ("def f(p, t): return p.sub('', t)", False),
        ("def f(t): return t.decode('punycode')", False),
    ],
)
def test_the_search_tells_what_is_bounded(source: str, is_fine: bool) -> None:
    (function,) = functions(ast.parse(source))
    assert (list(unbounded_calls(function)) == []) is is_fine
