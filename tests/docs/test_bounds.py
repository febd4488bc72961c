"""Check the resource limits of docs/security.md against the code and the tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = (ROOT / "docs" / "security.md").read_text("utf-8").partition("## Resource limits\n")[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in LIST.partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| resource ")
]


def names_in(path: str) -> set[str]:
    """Return the constants, functions and classes that a module defines."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            names |= {found.id for found in ast.walk(target) if isinstance(found, ast.Name)}
    return names


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_limit_and_its_tests_exist_where_the_list_names_them(
    row: list[str],
) -> None:
    _, _, bound, where, shown_by = row
    assert bound
    places = re.findall(r"((?:`\w+`(?:, )?)+) in `(app/[\w/]+\.py)`", where)
    assert places
    for names, path in places:
        assert set(re.findall(r"\w+", names)) <= names_in(path), path
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown_by)
    assert tests
    for path, name in tests:
        assert name in names_in(path), path


def test_the_list_contains_every_kind_of_resource() -> None:
    listed = " ".join(row[0] for row in ROWS)
    for what in (
        *("accounts", "keys", "sessions", "former names", "familiar addresses", "audit entries"),
        *("records", "outbox", "connections", "replies", "heads", "bodies", "JSON", "hashes"),
        *("in memory", "in Redis", "responses", "series", "log lines"),
    ):
        assert what in listed
