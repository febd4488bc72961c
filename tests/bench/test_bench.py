"""`make bench` as far as it can be tested without a clock: whom it asks, what, and what it says."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from xml.etree import ElementTree

import pytest

from app.bootstrap import open_house
from app.domain.names import ReservedNames, Username
from app.main import create_app
from app.wire.ready import QUERY_MAX
from bench import accounts, timing, works
from bench.accounts import PASSWORD
from bench.bench import Plan
from bench.engines import Postgresql, Sqlite
from bench.figures import Figure, Wanted, ratio
from bench.picture import draw
from bench.processes import BenchError
from bench.profile import WORKS, Call
from bench.report import Report
from bench.seed import ADMIN_KEY, Dataset, password_hash, seeded, settings_with
from bench.works import Request, Work

pytestmark = pytest.mark.anyio

SIZE = 150


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A store that was filled as for a run."""
    folder = tmp_path_factory.mktemp("bench")
    return seeded(Dataset(Sqlite(), folder, SIZE), password_hash())


@pytest.fixture(scope="module")
async def app(store: Dataset) -> AsyncIterator[Any]:
    """The application on that store, behind a proxy, as the load is."""
    settings = settings_with(**store.settings, trusted_proxies="127.0.0.1")
    async with open_house(settings) as house:
        yield create_app(settings, house.services)


# ------------------------------------------------------------------------- accounts


def test_every_account_has_a_name_of_its_own_that_anybody_could_register() -> None:
    places = [*range(5_000), *range(accounts.FREE, accounts.FREE + 5_000)]
    names = [Username.parse(accounts.username(n)) for n in places]
    assert [name.value for name in names] == [accounts.username(n) for n in places]
    assert len({name.skeleton for name in names}) == len(places)
    for name in names:
        ReservedNames.of(()).require_free(name)


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
    # Some show what all are like; passwords take their time.
    few = 3 if work.title in {"`users.auth`", "`users.create`"} else 100
    for request in work.requests[:few]:
        call = Call(request)
        await call.make(app)
        call.require(work.answer)


async def test_an_answer_that_is_not_the_expected_one_ends_a_run(app: Any, store: Dataset) -> None:
    (request, *_) = works.check(store).requests
    call = Call(request)
    await call.make(app)
    with pytest.raises(BenchError, match=r"/rpc was answered with .*result"):
        call.require('"token":')


async def test_a_filled_store_finds_its_accounts_by_a_part_of_their_name(app: Any) -> None:
    name = accounts.username(17)
    key = ("X-Access-Token", ADMIN_KEY)
    call = Call(Request("GET", f"/users?limit=10&q={name[1:7]}", (key,)))
    await call.make(app)
    call.require(accounts.uuid(17))


async def test_half_of_the_names_that_are_checked_are_taken(app: Any, store: Dataset) -> None:
    taken = 0
    for request in works.check(store).requests[:40]:
        call = Call(request)
        await call.make(app)
        taken += '"result":true' in call.body
    assert taken == 20


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
def test_a_figure_falls_short_where_it_does_not_keep_its_bound(
    side: Literal["≥", "≤", "<"], good: list[float], bad: list[float]
) -> None:
    wanted = Wanted(2, side)
    assert not any(Figure("work", "", "", value, wanted).falls_short for value in good)
    assert all(Figure("work", "", "", value, wanted).falls_short for value in bad)


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_their_parts() -> None:
    assert ratio([10, 100, 1], [100, 100, 100]) == 0.1
    assert ratio([1, 50, 4], [2, 10, 40]) == 0.5


def test_the_report_names_what_falls_short_and_what_was_not_measured() -> None:
    report = Report(Plan(3, 3, 1, 2, 3, 0, 1), {}, datetime(2026, 1, 31, tzinfo=UTC), "make bench")
    report.figures["SQLite"] = [
        Figure("slow work", "1/s", "10/s", 0.1, Wanted(0.5, "≥")),
        Figure("quick work", "9/s", "10/s", 0.9, Wanted(0.5, "≥")),
        Figure("work to come", "not in this release", "", None, Wanted(0, "≤", "requests")),
    ]
    report.problems.append("PostgreSQL is left out: nobody answers.")
    table, _, rest = report.markdown().partition("## What falls short")
    assert [line.split(" | ")[-1] for line in table.splitlines()[4:7]] == [
        "**falls short** |",
        "ok |",
        "not measured |",
    ]
    assert "slow work: 0.10 ×, wanted ≥ 0.5 ×" in rest
    assert "quick work" not in rest
    assert "- PostgreSQL is left out: nobody answers." in rest


def test_the_page_shows_the_picture_that_is_written_beside_it(tmp_path: Path) -> None:
    report = Report(
        Plan(3, 3, 1, 2, 3, 0, 1), {"cores": "2"}, datetime(2026, 1, 31, tzinfo=UTC), "make bench"
    )
    report.write_page(tmp_path, {"SQLite": {"`users.self`": {10: 1.0, 1000: 2.0}}})
    page = (tmp_path / "benchmarks.md").read_text()
    assert "(pictures/bench.svg)" in page
    assert "Measured on 2026-01-31" in page
    assert (tmp_path / "pictures" / "bench.svg").exists()


def test_the_picture_names_each_work_once_for_each_engine() -> None:
    costs = {10_000: 100.0, 100_000: 110.0, 1_000_000: 120.0}
    picture = draw({name: {"`a & b`": costs, "`c`": costs} for name in ("SQLite", "PostgreSQL")})
    texts = [text.text for text in ElementTree.fromstring(picture).iter() if "text" in text.tag]  # noqa: S314
    assert texts.count("a & b") == texts.count("c") == 2
    assert texts.count("1,000,000") == 2


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
