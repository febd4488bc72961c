"""Log lines to a descriptor whose reader may have stopped."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from app.logs.writer import LINE_MAX, PENDING_MAX, LogWriter

PIPE_SIZE = 64 * 1024


def notice(lines: int) -> bytes:
    return f"dropped {lines}".encode()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def dropped(writer: LogWriter) -> float:
    (reading,) = writer.measurements()
    return reading.value


def eventually(holds: Callable[[], object]) -> None:
    latest = monotonic() + 10
    while not holds():
        assert monotonic() < latest
        sleep(0.001)


def test_lines_are_written_in_their_order() -> None:
    with pipe() as (reading, writing):
        writer = LogWriter(writing, notice)
        for number in range(1000):
            writer.put(b"%d" % number)
        writer.flush()
        assert os.read(reading, PIPE_SIZE) == b"".join(b"%d\n" % n for n in range(1000))
        assert dropped(writer) == 0


def test_no_caller_waits_for_a_stopped_reader_and_lost_lines_are_counted() -> None:
    line = b"x" * 1000
    with pipe() as (reading, writing):
        writer = LogWriter(writing, notice)
        began = monotonic()
        for _ in range(10 * PENDING_MAX):
            writer.put(line)
        assert monotonic() - began < 2
        lost = dropped(writer)
        assert lost > 8 * PENDING_MAX
        # It is read again, by and by.
        read = b""

        def read_on() -> bool:
            nonlocal read
            read += os.read(reading, PIPE_SIZE)
            return b"dropped" in read

        eventually(read_on)
        assert f"dropped {lost:.0f}\n".encode() in read
        writer.put(b"as before")
        eventually(lambda: read_on() and b"as before\n" in read)
        assert read.count(b"dropped") == 1


def test_a_line_is_one_piece_of_a_pipe_and_says_that_it_was_cut() -> None:
    with pipe() as (reading, writing):
        writer = LogWriter(writing, notice)
        writer.put("灯".encode() * LINE_MAX)
        writer.flush()
        line = os.read(reading, PIPE_SIZE)
    assert LINE_MAX - 4 < len(line) <= LINE_MAX
    assert line.decode().endswith("灯 … (cut)\n")


def test_lines_of_several_processes_do_not_tear_each_other() -> None:
    """Each line is of one letter."""
    with pipe() as (reading, writing):
        writers = [LogWriter(writing, notice) for _ in range(4)]

        def write(letter: bytes, writer: LogWriter) -> None:
            for length in range(1, 200):
                writer.put(letter * (length * 20))
            writer.flush()

        threads = [
            threading.Thread(target=write, args=(letter, writer))
            for letter, writer in zip((b"a", b"b", b"c", b"d"), writers, strict=True)
        ]
        for thread in threads:
            thread.start()
        read, expected = b"", sum(20 * length + 1 for length in range(1, 200)) * 4
        while len(read) < expected:
            # Of odd sizes, so that the pipe is full at odd places.
            read += os.read(reading, 1013)
        for thread in threads:
            thread.join()
    assert {len(set(line)) for line in read.splitlines()} == {1}


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    writer = LogWriter(os.open("/dev/full", os.O_WRONLY), notice)
    for _ in range(3):
        writer.put(b"lost")
        writer.flush()
    assert dropped(writer) == 3


def test_a_line_that_was_broken_off_does_not_run_into_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    writer = LogWriter(os.open(file, os.O_WRONLY | os.O_CREAT), notice)
    write, written = os.write, list[int]()

    def write_some(descriptor: int, octets: bytes) -> int:
        if len(written) == 1:
            written.append(0)
            raise OSError(28, "No space left on device")
        written.append(write(descriptor, octets[:3] if not written else octets))
        return written[-1]

    monkeypatch.setattr("app.logs.writer.os.write", write_some)
    writer.put(b"broken off")
    writer.flush()
    writer.put(b"the next")
    writer.flush()
    assert file.read_bytes() == b"bro\ndropped 1\nthe next\n"


def test_a_pipe_that_others_made_non_blocking_is_waited_for() -> None:
    with pipe() as (reading, writing):
        os.set_blocking(writing, False)
        writer = LogWriter(writing, notice)
        for _ in range(100):
            writer.put(b"x" * 4000)
        read = 0
        while read < 100 * 4001:
            read += len(os.read(reading, PIPE_SIZE))
        writer.flush()
        assert dropped(writer) == 0


def test_a_reader_that_is_gone_is_no_error() -> None:
    with pipe() as (reading, writing):
        writer = LogWriter(os.dup(writing), notice)
        os.dup2(os.open(os.devnull, os.O_RDONLY), reading)
        writer.put(b"lost")
        writer.flush()
        assert dropped(writer) == 1


@pytest.mark.filterwarnings("error")
def test_a_forked_process_writes_its_own_lines() -> None:
    with pipe() as (reading, writing):
        writer = LogWriter(writing, notice)
        writer.put(b"parent")
        pid = os.fork()
        if pid == 0:
            writer.put(b"child")
            writer.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        writer.put(b"parent again")
        writer.flush()
        assert os.read(reading, PIPE_SIZE) == b"parent\nchild\nparent again\n"
