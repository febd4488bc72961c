"""Replacement of the code of functions in the running process, for all modules that use them."""

import ast
import builtins
import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from tools.mutants.guards import code_of, functions

_HIT = "_gatehouse_mutants_hit"


def replace_code(file: str, name: str, code: CodeType) -> None:
    """Replace the code of a function or method of a module."""
    function = _function(file, name)
    if function is not None:
        function.__code__ = code


def report_lines(root: Path, files: Iterable[str], hit: Callable[[str, int], None]) -> None:
    """Instrument the statements of these files to report themselves before they run."""
    setattr(builtins, _HIT, hit)
    for file in files:
        tree = ast.parse((root / file).read_text(encoding="utf-8"))
        names = [name for _, name in functions(tree)]
        module = compile(
            ast.fix_missing_locations(_Reporting(file).visit(tree)), str(root / file), "exec"
        )
        for name in names:
            replace_code(file, name, code_of(module, name))


class _Reporting(ast.NodeTransformer):
    def __init__(self, file: str) -> None:
        self._file = file

    def generic_visit(self, node: Any) -> Any:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef):
            return node
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [one for it in statements for one in (self._hit(it), it)])
        return node

    def _hit(self, statement: ast.stmt) -> ast.stmt:
        where: list[ast.expr] = [ast.Constant(self._file), ast.Constant(statement.lineno)]
        call = ast.Call(ast.Name(_HIT, ast.Load()), where, [])
        return ast.copy_location(ast.Expr(call), statement)


def _function(file: str, name: str) -> FunctionType | None:
    """Return the function behind its wrappers; None if it is not accessible."""
    found: Any = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = vars(found).get(part)
    for wrapper in ("fget", "func", "__func__", "__wrapped__"):
        found = getattr(found, wrapper, found)
    return found if isinstance(found, FunctionType) else None
