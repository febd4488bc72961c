"""`make bench` as far as it can be tested without a clock: whom it asks, what, and what it says."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any, Literal
from uuid import UUID

import pytest

from app.container import open_container
from app.domain.names import ReservedNames, Username
from app.main import create_app
from app.server.fast_path import QUERY_MAX
from bench import accounts, timing, works
from bench.accounts import PASSWORD
from bench.bench import Bench, Plan
from bench.engines import Postgresql, Sqlite
from bench.figures import BUSY, Figure, Target, ratio
from bench.processes import ROOT, BenchError
from bench.profile import AsgiCall
from bench.report import Report, read_figures
from bench.seed import ADMIN_KEY, Dataset, password_hash, seed, settings_with
from bench.works import WORKS, Request, Work
from tests.needs import need

pytestmark = pytest.mark.anyio

SIZE = 150


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A store that was filled as for a run."""
    folder = tmp_path_factory.mktemp("bench")
    return seed(Dataset(Sqlite(), folder, SIZE), password_hash(), sessions=10)


@pytest.fixture(scope="module")
async def app(store: Dataset) -> AsyncIterator[Any]:
    """The application on that store, behind a proxy, as the load is."""
    settings = settings_with(**store.settings, trusted_proxies="127.0.0.1")
    async with open_container(settings, signs=True) as container:
        yield create_app(settings, container.services)


# ------------------------------------------------------------------------- accounts


def test_every_account_has_a_name_of_its_own_that_anybody_could_register() -> None:
    places = [*range(1_000), *range(accounts.FREE, accounts.FREE + 1_000)]
    names = [Username.parse(accounts.username(n)) for n in places]
    assert [name.value for name in names] == [accounts.username(n) for n in places]
    assert len({name.skeleton for name in names}) == len(places)
    for name in names:
        ReservedNames.from_config(()).require_free(name)


def test_no_two_places_have_the_same_name() -> None:
    assert len({accounts.username(n) for n in range(accounts.NAMES // 10)}) == accounts.NAMES // 10
    assert accounts.username(accounts.NAMES) == accounts.username(0)


def test_a_uuid_is_one_of_the_random_kind() -> None:
    assert {UUID(accounts.uuid(n)).version for n in range(100)} == {4}


# ---------------------------------------------------------------------------- store


def test_more_pages_are_asked_for_than_anybody_keeps_ready() -> None:
    paths = {request.path for request in works.pages(Dataset(Sqlite(), Path(), 10_000)).requests}
    assert len(paths) > 4_000
    assert min(len(path.partition("?")[2]) for path in paths) > QUERY_MAX


@pytest.mark.parametrize(
    "work_of",
    [*WORKS.values(), works.log_in, lambda _: works.SignUps()(3)],
    ids=[*WORKS, "log in", "sign up"],
)
async def test_each_request_of_each_work_is_answered_as_the_work_expects(
    app: Any, store: Dataset, work_of: Callable[[Dataset], Work]
) -> None:
    work = work_of(store)
    # One generator makes them all; passwords take their time.
    few = 3 if work.title in {"`users.auth`", "`users.create`"} else 10
    for request in work.requests[:few]:
        call = AsgiCall(request)
        await call.make(app)
        call.require(work)


async def test_an_answer_that_is_not_the_expected_one_ends_a_run(app: Any, store: Dataset) -> None:
    checks = works.check(store)
    call = AsgiCall(checks.requests[0])
    await call.make(app)
    with pytest.raises(BenchError, match=r"/rpc returned 200 .*result"):
        call.require(replace(checks, answer='"token":'))
    with pytest.raises(BenchError, match=r"/rpc returned 200"):
        call.require(replace(checks, statuses=(429,)))


async def test_a_filled_store_finds_its_accounts_by_a_part_of_their_name(app: Any) -> None:
    name = accounts.username(17)
    key = ("X-Access-Token", ADMIN_KEY)
    call = AsgiCall(Request("GET", f"/users?limit=10&q={name[1:7]}", (key,)))
    await call.make(app)
    assert accounts.uuid(17) in call.body


async def test_half_of_the_names_that_are_checked_are_taken(app: Any, store: Dataset) -> None:
    taken = 0
    for request in works.check(store).requests[:40]:
        call = AsgiCall(request)
        await call.make(app)
        taken += '"result":true' in call.body
    assert taken == 20


@pytest.mark.parametrize("work_of", [works.check, works.exists, works.forged])
def test_a_request_that_must_be_new_is_never_repeated(
    store: Dataset, work_of: Callable[[Dataset], Work]
) -> None:
    many = replace(store, size=100_000)
    requests = [*work_of(many).requests, *work_of(many).requests]
    assert len({request.raw() for request in requests}) == len(requests)


def test_a_copy_of_a_store_is_one_of_its_own(store: Dataset, tmp_path: Path) -> None:
    engine, copy = Sqlite(), tmp_path / "copy"
    engine.copy(store.folder, copy)
    assert engine.url(copy) != engine.url(store.folder)
    assert {path.name for path in copy.iterdir()} == {path.name for path in store.folder.iterdir()}
    engine.drop(copy)
    assert not copy.exists()


def test_every_folder_has_a_database_of_its_own_on_the_server() -> None:
    engine = Postgresql("postgresql://somebody@127.0.0.1:5432/postgres?sslmode=disable")
    assert engine.url(Path("/x/gatehouse_bench_1a/postgresql-10-2")) == (
        "postgresql://somebody@127.0.0.1:5432/gatehouse_bench_1a_postgresql_10_2?sslmode=disable"
    )


# --------------------------------------------------------------------------- report


@pytest.mark.parametrize(
    ("side", "good", "bad"),
    [("≥", [2.0, 2.1], [1.9]), ("≤", [2.0, 1.9], [2.1]), ("<", [1.9], [2.0])],
)
def test_a_figure_is_missed_where_it_does_not_keep_its_bound(
    side: Literal["≥", "≤", "<"], good: list[float], bad: list[float]
) -> None:
    wanted = Target(2, side)
    assert not any(Figure("work", "", "", value, wanted).is_missed for value in good)
    assert all(Figure("work", "", "", value, wanted).is_missed for value in bad)


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_their_parts() -> None:
    assert ratio([10, 100, 1], [100, 100, 100]) == 0.1
    assert ratio([1, 50, 4], [2, 10, 40]) == 0.5


def report_of(*figures: Figure) -> Report:
    report = Report(Plan(3, 2, 1, 2, 3, 0, 1), {}, datetime(2026, 1, 31, tzinfo=UTC), "make bench")
    report.figures["SQLite 3.1"] = list(figures)
    return report


SLOW = Figure("slow work", "1/s", "10/s", 0.1, Target(0.5, "≥"))
QUICK = Figure("quick work", "9/s", "10/s", 0.9, Target(0.5, "≥"))
SERVED = Figure("memory", "", "", 1_234, Target(None, "≤", "MB"))
BUSY_WORK = Figure("busy work", "3/s", "10/s", 0.3, Target(0.5, "≥"), [2 * BUSY, 0, 2 * BUSY])


def test_the_report_names_what_is_missed_and_what_was_not_measured() -> None:
    report = report_of(SLOW, QUICK, SERVED, BUSY_WORK)
    report.problems.append("PostgreSQL is left out: nobody answers.")
    table, _, rest = report.markdown().partition("## Missed targets")
    assert [line.split(" | ")[-1] for line in table.splitlines()[4:8]] == [
        "**missed** |",
        "ok |",
        " |",
        "busy: other programs used 10% of a core |",
    ]
    assert "slow work: 0.1 ×, target ≥ 0.5 ×" in rest
    assert "quick work" not in rest
    assert "busy work" not in rest
    assert "- PostgreSQL is left out: nobody answers." in rest


def test_a_figure_is_busy_where_most_of_its_rounds_are() -> None:
    assert BUSY_WORK.is_busy
    assert not replace(BUSY_WORK, others=[2 * BUSY, 0, BUSY]).is_busy
    assert not SLOW.is_busy


def test_the_page_has_no_busy_figures_and_names_them() -> None:
    page = report_of(QUICK, BUSY_WORK).page()
    assert "Measured on 2026-01-31" in page
    assert "| quick work | 9/s | 10/s | 0.9 × | ≥ 0.5 × | ok |" in page
    assert "0.3 ×" not in page
    assert "- busy work on SQLite 3.1: other programs used the machine meanwhile." in page


def test_figures_are_read_from_the_page_that_they_were_written_to() -> None:
    figures = read_figures(report_of(SLOW, QUICK, SERVED, BUSY_WORK).page())
    assert figures == {
        ("SQLite", "slow work"): 0.1,
        ("SQLite", "quick work"): 0.9,
        ("SQLite", "memory"): 1_234,
    }


def test_every_figure_of_the_documentation_is_one_to_compare_with() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert {engine for engine, _ in read_figures(page)} == {"SQLite", "PostgreSQL"}


def test_a_figure_that_became_worse_by_more_than_a_tenth_is_named() -> None:
    earlier = {
        ("SQLite", "slow work"): 0.12,
        ("SQLite", "quick work"): 0.99,
        ("SQLite", "memory"): 1_000.0,
        ("SQLite", "busy work"): 1.0,
        ("PostgreSQL", "quick work"): 2.0,
    }
    losses = report_of(SLOW, QUICK, SERVED, BUSY_WORK).losses(earlier)
    assert losses.splitlines()[2:] == [
        "- On SQLite 3.1: slow work: 0.1 ×, it was 0.12 ×.",
        "- On SQLite 3.1: memory: 1,234 MB, it was 1,000 MB.",
    ]
    assert report_of(QUICK).losses(earlier).endswith("None.")


# ------------------------------------------------------------------------------ run


def test_other_programs_are_noticed(tmp_path: Path) -> None:
    bench = Bench(Plan(1, 1, 1, 1, 1, 0, 1), tmp_path, Sqlite())
    spin = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(spin) as other:
        try:
            with bench.watch() as use:
                sleep(0.3)
        finally:
            other.kill()
    assert use.others > BUSY


def test_a_run_measures_against_the_baseline_and_compares_with_the_page() -> None:
    need(shutil.which("wrk") is not None, "needs wrk: apt-get install wrk")
    small = "--engine sqlite --rounds 1 --seconds 1 --accounts 20 20 20"
    command = [sys.executable, "-m", "bench", "requests", "--work", "self", *small.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = (line.split(" | ") for line in done.stdout.splitlines() if " | bare GET: " in line)
    assert row[0] == "| `GET /users/@self`"
    assert float(row[3].removesuffix(" ×")) > 0
    assert "## Worse than the last figures" in done.stdout


# --------------------------------------------------------------------------- timing


def test_every_kind_of_refused_login_is_measured_in_every_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    timing.main(["--rounds", "1"])
    said = capsys.readouterr().out
    for way in timing.WAYS:
        _, _, table = said.partition(f"{way}, refused\n")
        rows = [line.split(" | ")[0] for line in table.partition("\n\nPOST")[0].splitlines()]
        assert [f"| {kind.title}" for kind in timing.kinds()] == rows[3:]


def test_a_login_that_is_not_refused_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "kinds", lambda: [timing.Kind("right", password=PASSWORD)])
    with pytest.raises(BenchError, match="right"):
        timing.main(["--rounds", "1"])
