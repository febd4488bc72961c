"""One name, one meaning: no two classes of the application share a name."""

import ast
from collections import defaultdict
from pathlib import Path

APP = Path(__file__).parents[2] / "app"


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(set)
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(path.relative_to(APP).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
