"""Writer of log lines that never blocks its callers."""

import os
import select
from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread
from time import sleep

from app.domain.measurements import Measurement

# Maximum size of a line with its end. A pipe takes that much atomically (PIPE_BUF on Linux), so the
# lines of several processes are never mixed.
LINE_MAX = 4096
_CUT = " … (cut)".encode()
# Pending lines of a process; further ones are dropped.
PENDING_MAX = 1024
# Seconds in which lines are collected and then written together: each time the thread wakes up, it
# takes the interpreter lock from the event loop, which costs a request more than its line.
BATCH_SECONDS = 0.01
# Seconds that the end of a process, or a fork, waits for pending lines.
FLUSH_SECONDS = 1.0


class LogWriter:
    """Writes to `descriptor` from a thread, because a pipe or terminal may block for hours.

    Lines above the limit are dropped and counted; `notice` returns the line that reports their
    number, which is written once the descriptor can be written again.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._dropped = 0
        self._reset()
        os.register_at_fork(before=self._before_fork, after_in_child=self._reset)

    def _reset(self) -> None:
        self._pending: deque[bytes] = deque()
        self._is_due, self._is_idle = Event(), Event()
        self._thread: Thread | None = None
        self._starting = Lock()
        self._is_ending = self._is_torn = False
        self._reported = self._dropped

    def measurements(self) -> Iterator[Measurement]:
        """Return the number of dropped lines."""
        about = "Log lines dropped because the reader was too slow or the disk full."
        yield Measurement("log_lines_dropped", about, self._dropped, is_total=True)

    def put(self, line: bytes) -> None:
        """Queue a line, given without its end; a line that is too long is cut."""
        if len(self._pending) >= PENDING_MAX:
            self._dropped += 1
            return
        if len(line) >= LINE_MAX:
            line = line[: LINE_MAX - len(_CUT) - 1].decode(errors="ignore").encode() + _CUT
        self._pending.append(line + b"\n")
        if not self._is_due.is_set():
            if self._thread is None:
                self._start_thread()
            self._is_due.set()

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until all pending lines are written, up to `seconds`."""
        if self._thread is not None:
            self._is_idle.clear()
            self._is_due.set()
            self._is_idle.wait(seconds)

    def _start_thread(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def _before_fork(self) -> None:
        """Stop the thread: a fork would copy the locks that it holds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_ending = True
            self._is_due.set()
            thread.join(FLUSH_SECONDS)
            self._is_ending = False
            self._is_due.clear()

    def _run(self) -> None:
        while not self._is_ending:
            self._is_due.wait()
            if not self._is_ending:
                sleep(BATCH_SECONDS)
            self._is_due.clear()
            while self._pending:
                self._write_batch()
            self._is_idle.set()

    def _write_batch(self) -> None:
        """Write as many lines as fit into one atomic write."""
        lines, dropped = list[bytes](), self._dropped
        if self._is_torn:
            lines.append(b"\n")
        if dropped > self._reported:
            lines.append(self._notice(dropped - self._reported)[: LINE_MAX // 2] + b"\n")
        size = sum(map(len, lines))
        count = 0
        while self._pending and size + len(self._pending[0]) <= LINE_MAX:
            lines.append(self._pending.popleft())
            size += len(lines[-1])
            count += 1
        batch = left = b"".join(lines)
        try:
            while left:
                left = left[self._write(left) :]
        except OSError:
            # The disk is full or the reader has gone. A part of the batch may have been written.
            self._dropped += count
            self._is_torn = self._is_torn or len(left) < len(batch)
        else:
            self._reported, self._is_torn = dropped, False

    def _write(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # A program that shares the descriptor made it non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
