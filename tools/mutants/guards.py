"""Guards of a module, and its code without each of them."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

Change = Callable[[Any], ast.AST]
_BOUNDARIES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)
# Log calls are not guards.
_LOGS = ("_LOG.", "structlog.", "log.")
_SHOWN = 70


@dataclass(frozen=True, slots=True)
class Mutant:
    """A function with one guard changed; `line` is the line of its statement."""

    file: str
    line: int
    function: str
    about: str
    code: CodeType

    @property
    def name(self) -> str:
        """The name in a report, without the line number, which changes easily."""
        return f"{self.file} {self.function}: {self.about}"


def mutants_of(root: Path, file: str) -> Iterator[Mutant]:
    """Yield every mutant of a file."""
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    order = {id(node): index for index, node in enumerate(ast.walk(tree))}
    # Removing the condition has the same effect as removing the `raise`.
    guarded = {id(node.body[-1]) for node in ast.walk(tree) if isinstance(node, ast.If)}
    for function, name in functions(tree):
        for statement in _statements(function):
            for node in _own_nodes(statement):
                if isinstance(node, ast.Raise) and id(node) in guarded:
                    continue
                for about, change in _changes(node):
                    code = _compiled(tree, order[id(node)], change, root / file, name)
                    yield Mutant(file, statement.lineno, name, about, code)


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Yield functions and methods with their qualified names, except nested functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")


def code_of(module: CodeType, name: str) -> CodeType:
    """Return the code of a function by its qualified name."""
    found = [module]
    for code in found:
        inner = [const for const in code.co_consts if isinstance(const, CodeType)]
        for one in inner:
            if one.co_qualname == name:
                return one
        found += inner
    raise LookupError(name)


def _statements(function: Any) -> Iterator[Any]:
    for statement in function.body:
        yield from (node for node in ast.walk(statement) if isinstance(node, ast.stmt))


def _own_nodes(statement: ast.stmt) -> Iterator[Any]:
    """Yield a statement and its expressions, without nested statements."""
    found: list[ast.AST] = [statement]
    for node in found:
        found += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.stmt)]
    return iter(found)


def _compiled(tree: ast.Module, index: int, change: Change, file: Path, name: str) -> CodeType:
    changed = copy.deepcopy(tree)
    node = [*ast.walk(changed)][index]
    for parent in ast.walk(changed):
        for field, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, field, change(node))
            elif isinstance(value, list) and any(item is node for item in value):
                value[:] = [change(item) if item is node else item for item in value]
    return code_of(compile(ast.fix_missing_locations(changed), str(file), "exec"), name)


# Changes.


def _changes(node: Any) -> Iterator[tuple[str, Change]]:
    """Yield the changes of a node that is a guard, or a part of one."""
    match node:
        case ast.If() | ast.IfExp() | ast.While():
            yield f"`{_text(node.test)}` inverted", _inverting("test")
            if isinstance(node, ast.If) and isinstance(node.body[-1], _LEAVES):
                # An inverted guard rejects all other cases; a removed one rejects nothing.
                yield f"without `if {_text(node.test)}`", _never
        case ast.comprehension():
            for index, condition in enumerate(node.ifs):
                yield f"`{_text(condition)}` inverted", _inverting("ifs", index)
        case ast.match_case() if node.guard is not None:
            yield f"`{_text(node.guard)}` inverted", _inverting("guard")
        case ast.BoolOp():
            for index, value in enumerate(node.values):
                yield f"`{_text(node)}` without `{_text(value)}`", _without(index)
        case ast.Compare(ops=[operator]) if type(operator) in _BOUNDARIES:
            yield f"`{_text(node)}` at its boundary", _at_boundary
        case ast.Return(value=ast.Compare() | ast.UnaryOp(op=ast.Not()) as value):
            yield f"returned `{_text(value)}` inverted", _inverting("value")
        case ast.Expr() if _is_effect(node.value):
            yield f"without `{_text(node)}`", _nothing
        case ast.Raise():
            yield f"without `{_text(node)}`", _nothing


def _is_effect(value: Any) -> bool:
    call = value.value if isinstance(value, ast.Await) else value
    return isinstance(call, ast.Call) and not ast.unparse(call.func).startswith(_LOGS)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _inverting(field: str, index: int | None = None) -> Change:
    def change(node: Any) -> ast.AST:
        value = getattr(node, field)
        if index is None:
            setattr(node, field, ast.UnaryOp(ast.Not(), value))
        else:
            value[index] = ast.UnaryOp(ast.Not(), value[index])
        return node  # type: ignore[no-any-return]

    return change


def _never(node: Any) -> ast.AST:
    node.test = ast.Constant(False)
    return node  # type: ignore[no-any-return]


def _nothing(node: Any) -> ast.AST:
    return ast.copy_location(ast.Pass(), node)


def _at_boundary(node: Any) -> ast.AST:
    node.ops = [_BOUNDARIES[type(node.ops[0])]()]
    return node  # type: ignore[no-any-return]


def _without(index: int) -> Change:
    def change(node: Any) -> ast.AST:
        rest = [value for at, value in enumerate(node.values) if at != index]
        return rest[0] if len(rest) == 1 else ast.copy_location(ast.BoolOp(node.op, rest), node)

    return change
