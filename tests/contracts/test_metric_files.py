"""The files by which workers count together: those of workers that have ended become one."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from app.http import metric_files
from app.http.metric_files import merge_ended, unchanging

LIVING = {10, 11}


def count(folder: Path, kind: str, process: int, **values: float) -> None:
    """The counts of a worker, by method."""
    file = MmapedDict(str(folder / f"{kind}_{process}.db"))  # type: ignore[no-untyped-call]
    for method, value in values.items():
        if kind == "histogram":
            bucket = mmap_key("seconds", "seconds_bucket", ["le", "method"], ["1.0", method], "…")
            file.write_value(bucket, value, 0.0)  # type: ignore[no-untyped-call]
            key = mmap_key("seconds", "seconds_sum", ["method"], [method], "…")
        elif kind.startswith("gauge"):
            key = mmap_key("running", "running", ["method"], [method], "…")
        else:
            key = mmap_key("calls", "calls_total", ["method"], [method], "…")
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def scrape(folder: Path) -> set[str]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return set(generate_latest(registry).decode().splitlines())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.d*"))


def test_counts_of_any_number_of_killed_workers_are_kept_in_one_file_of_each_kind(
    tmp_path: Path,
) -> None:
    count(tmp_path, "counter", 10, get=1.0, put=7.0)
    count(tmp_path, "histogram", 11, get=1.0)
    for process in range(100, 124):
        count(tmp_path, "counter", process, get=2.0, **{f"m{process}": 1.0})
        count(tmp_path, "histogram", process, get=0.5)
        count(tmp_path, "gauge_livesum", process, get=3.0)
        before = {line for line in scrape(tmp_path) if line.startswith(("calls", "seconds"))}
        merge_ended(tmp_path, LIVING)
        assert before <= scrape(tmp_path)
    assert names(tmp_path) == [
        "counter_10.db",
        "counter_ended.db",
        "histogram_11.db",
        "histogram_ended.db",
    ]
    shown = scrape(tmp_path)
    assert 'calls_total{method="get"} 49.0' in shown
    assert 'calls_total{method="m123"} 1.0' in shown
    assert 'seconds_bucket{le="1.0",method="get"} 13.0' in shown
    assert 'seconds_sum{method="get"} 13.0' in shown


def test_a_file_that_its_worker_spoiled_is_dropped_and_keeps_no_other(tmp_path: Path) -> None:
    for process, spoiled in (
        (100, b"\xff" * 4096),
        (101, b""),
        (102, b"\x00\x10\x00\x00" + b"\x40\x00\x00\x00" * 100),
    ):
        (tmp_path / f"counter_{process}.db").write_bytes(spoiled)
    count(tmp_path, "counter", 103, get=2.0)
    merge_ended(tmp_path, LIVING)
    assert names(tmp_path) == ["counter_ended.db"]
    assert 'calls_total{method="get"} 2.0' in scrape(tmp_path)


def test_nothing_is_merged_during_a_scrape_but_at_the_next_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_files, "_PAUSE", 0.0)
    count(tmp_path, "counter", 100, get=2.0)
    with unchanging(tmp_path) as first, unchanging(tmp_path) as second:
        assert first
        assert second
        merge_ended(tmp_path, LIVING)
        assert names(tmp_path) == ["counter_100.db"]
    count(tmp_path, "counter", 101, get=2.0)
    merge_ended(tmp_path, LIVING)
    assert names(tmp_path) == ["counter_ended.db"]
    assert 'calls_total{method="get"} 4.0' in scrape(tmp_path)


def test_no_scrape_begins_during_a_merge(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "files.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with unchanging(tmp_path) as is_unchanging:
        assert not is_unchanging
    os.close(descriptor)
    with unchanging(tmp_path) as is_unchanging:
        assert is_unchanging


def test_a_full_disk_leaves_everything_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    count(tmp_path, "counter", 100, get=2.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space"):
            merge_ended(tmp_path, LIVING)
    assert names(tmp_path) == ["counter_100.db"]
    merge_ended(tmp_path, LIVING)
    assert names(tmp_path) == ["counter_ended.db"]
