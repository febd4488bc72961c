"""What holds of the code itself."""

import ast
import re
import sys
from pathlib import Path

import pytest

from app.domain.errors import CATALOGUE, Kind
from app.domain.policy import Access
from app.domain.ports import Audit
from app.rpc.errors import PROBLEM_CODES
from app.storage.audit import AuditTable
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.operation import Operation
from app.usecases.registry import OPERATIONS
from app.wire.inputs import input_form
from app.wire.problem import STATUS

APP = Path(__file__).parents[2] / "app"
DOMAIN_MAY_IMPORT = {"app", "precis_i18n", "email_validator", *sys.stdlib_module_names}
USECASES_MAY_IMPORT = {"app", "typing_extensions", *sys.stdlib_module_names}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("room", "allowed"), [("domain", DOMAIN_MAY_IMPORT), ("usecases", USECASES_MAY_IMPORT)]
)
def test_the_inner_rooms_import_nothing_but_what_is_named(room: str, allowed: set[str]) -> None:
    for path in (APP / room).rglob("*.py"):
        assert imported(path) <= allowed, path.name


def test_the_picture_shows_the_rooms_that_there_are() -> None:
    picture = (APP.parent / "docs" / "architecture.svg").read_text("utf-8")
    shown = set(re.findall(r'class="name"[^>]*>(\w+)/<', picture))
    assert shown == {path.parent.name for path in APP.glob("*/__init__.py")}


def test_no_use_case_writes_past_the_audit_trail() -> None:
    """`Call` alone opens a transaction that writes, and adds the entry to it. What the outbox keeps
    of its deliveries is no change of anything that somebody could have asked for."""
    writers = {
        path.name
        for path in (APP / "usecases").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in {"write", "note"}
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "store"
    }
    assert writers == {"call.py", "outbox.py"}


def test_nothing_but_adding_and_reading_can_be_asked_of_the_audit_trail() -> None:
    for trail in (Audit, AuditTable):
        assert {name for name in vars(trail) if not name.startswith("_")} == {"add", "page"}


def test_every_kind_of_error_has_a_status_and_every_error_a_code_of_its_own() -> None:
    assert STATUS.keys() == set(Kind)
    assert PROBLEM_CODES.keys() == set(CATALOGUE)
    assert len(set(PROBLEM_CODES.values())) == len(CATALOGUE)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_operation_says_what_it_does_and_who_may(operation: Operation) -> None:
    assert operation.summary
    who = {
        Access.ANYONE: "Anyone may",
        Access.HOLDER: "The holder of any valid credential may",
        Access.TOKEN: "The holder of a token may",
        Access.ADMIN: "Admins may",
    }
    assert operation.description.startswith(who[operation.access])


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_parameter_is_described_and_every_result_shown_by_example(
    operation: Operation,
) -> None:
    assert operation.name in RESULT_EXAMPLES
    for param in input_form(operation.input).params.values():
        assert param.doc.description
        assert param.doc.example is not None or not param.required
