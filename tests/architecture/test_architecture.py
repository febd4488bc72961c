"""Rules about the code itself."""

import ast
import re
import sys
from pathlib import Path

import pytest

from app.domain.policy import Access
from app.domain.ports.repositories import Audit
from app.http.params import input_schema
from app.operations.catalog import OPERATIONS
from app.operations.examples import RESULT_EXAMPLES
from app.operations.framework.operation import Operation
from app.runtime.background_tasks import TASKS
from app.storage.repositories.audit import AuditRepository

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
    """Only `OperationContext` opens a transaction that writes, and adds the entry to it.

    The state of the outbox's deliveries is no change that a caller could have asked for.
    """
    writers = {
        path.name
        for path in (APP / "operations").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in {"write", "note"}
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "store"
    }
    assert writers == {"context.py", "outbox.py"}


def test_nothing_but_adding_and_reading_can_be_asked_of_the_audit_trail() -> None:
    asked = {"add", "get_complete_up_to", "list_after", "list_page"}
    for trail in (Audit, AuditRepository):
        assert {name for name in vars(trail) if not name.startswith("_")} == asked


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
    for param in input_schema(operation.input).params.values():
        assert param.doc.description
        assert param.doc.example is not None or not param.required


# What starts a task, a timer or a thread of its own beside the supervisor of background tasks.
STARTS = {
    "call_at",
    "call_later",
    "create_task",
    "ensure_future",
    "TaskGroup",
    "Thread",
    "ThreadPoolExecutor",
    "Timer",
    "to_thread",
}
# Each of these belongs to a request, which waits for it and gets its error, or to a store or hasher
# whose calls run in it; a timer there ends a connection that does not answer.
STARTED_BESIDE = {
    ("runtime/background_tasks.py", "create_task"): "the supervisor itself",
    (
        "server/outbox_worker.py",
        "create_task",
    ): "one delivery, whose errors it keeps as its outcome",
    ("logs/writer.py", "Thread"): "lines of log, which a reader may keep waiting for hours",
    ("http/metrics.py", "to_thread"): "the text of the metrics, awaited by the scrape",
    ("main.py", "to_thread"): "migrations, awaited by the start",
    ("rest/system.py", "to_thread"): "measurements of processes, awaited by the scrape",
    ("rpc/exchange.py", "to_thread"): "the document of the API, awaited by the request",
    ("security/passwords.py", "ThreadPoolExecutor"): "hashes, awaited by requests",
    (
        "security/signing_keys.py",
        "to_thread",
    ): "files that are synced, awaited by the supervisor's task",
    ("storage/postgresql/queries.py", "call_at"): "ends a connection that does not answer",
    (
        "runtime/shielded_tasks.py",
        "create_task",
    ): "work whose requester may leave; its failure is logged then",
    ("storage/postgresql/connections.py", "call_at"): "ends a connection that does not answer",
    ("storage/sqlite/store.py", "ThreadPoolExecutor"): "transactions, awaited by requests",
    ("runtime/batch_loader.py", "create_task"): "a query that several requests wait for",
    ("runtime/single_flight.py", "create_task"): "work that several requests wait for",
    ("server/supervisor.py", "Thread"): "ends a worker that has lost its parent",
}


def test_background_work_is_started_by_the_supervisor_alone() -> None:
    """A task of its own may end by an unseen error; see `app/runtime/background_tasks.py`."""
    started = {
        (path.relative_to(APP).as_posix(), name)
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and (name := getattr(node.func, "attr", getattr(node.func, "id", ""))) in STARTS
    }
    assert started == STARTED_BESIDE.keys()


def test_no_map_is_bounded_by_hand() -> None:
    """`BoundedMap` drops the oldest entries; `del a[next(iter(a))]` is a second one."""
    written_out = [
        path.relative_to(APP).as_posix()
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Delete) and "next(iter(" in ast.unparse(node))
        or (isinstance(node, ast.Name | ast.Attribute) and "OrderedDict" in ast.unparse(node))
    ]
    assert set(written_out) == {"runtime/bounded_map.py"}


def test_every_background_task_is_declared_started_and_documented() -> None:
    started = {
        argument.value
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "start"
        and node.args
        and isinstance(argument := node.args[0], ast.Constant)
    }
    assert started == TASKS.keys()
    documented = (APP.parent / "docs" / "reliability.md").read_text("utf-8")
    assert [name for name in TASKS if f"`{name}`" not in documented] == []
