"""Structured logs on stderr: readable in a terminal, JSON lines elsewhere."""

import atexit
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Any, Literal, Protocol, TextIO

from app.domain.measurements import Measurement
from app.logs.lines import json_line
from app.logs.writer import LogWriter
from app.startup import hidden

# structlog would import it and 50 more modules for a traceback format that we do not use.
with hidden("rich"):
    import structlog
    from structlog.typing import EventDict, Processor

# Without local variables, which may contain a password.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)

Form = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error", "critical"]


def is_readable(form: Form) -> bool:
    """Return whether the log is text for people; otherwise it is JSON."""
    return form == "console" or (form == "auto" and sys.stderr.isatty())


class Sink(Protocol):
    """Destination of log lines."""

    def put(self, line: bytes) -> None: ...

    def flush(self) -> None: ...

    def measurements(self) -> Iterator[Measurement]: ...


class _StreamSink:
    """Sink for a stream without a file descriptor, which cannot block."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def put(self, line: bytes) -> None:
        self._stream.write(line.decode() + "\n")

    def flush(self) -> None:
        self._stream.flush()

    def measurements(self) -> Iterator[Measurement]:
        return iter(())


class LogMetrics:
    """Metrics of the current sink."""

    def measurements(self) -> Iterator[Measurement]:
        """Return the measurements of `LogWriter`, if there is one."""
        return iter(()) if _sink is None else _sink.measurements()


_sink: Sink | None = None


def write_text(text: str) -> None:
    """Write lines that are not events to the log, after the events before them."""
    if _sink is None:
        print(text, file=sys.stderr)
    else:
        _put_lines(_sink, text)


def flush_logs() -> None:
    """Wait for pending lines, up to `FLUSH_SECONDS`."""
    if _sink is not None:
        _sink.flush()


def _put_lines(sink: Sink, text: str) -> None:
    for line in text.split("\n"):
        sink.put(line.encode(errors="backslashreplace"))


class _EventLogger:
    """Writes rendered events; the name of the logger tells their origin."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self.put = sink.put
        self._sink = sink

    def msg(self, text: str) -> None:
        """Write one rendered event."""
        _put_lines(self._sink, text)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _LibraryHandler(logging.Handler):
    """Writes the records of libraries."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _put_lines(self._sink, self.format(record))
        except Exception:
            self.handleError(record)


class _DirectInfo:
    """Renders like the chain of processors in a third of the time; each request logs a line."""

    _logger: _EventLogger

    def info(self, event: str, **members: Any) -> None:
        logger = self._logger
        logger.put(
            json_line(
                {
                    "event": event,
                    **members,
                    "level": "info",
                    "logger": logger.name,
                    "timestamp": _now(),
                }
            )
        )


def _add_origin(logger: Any, level: str, event: EventDict) -> EventDict:
    event["level"] = level
    event["logger"] = logger.name
    return _add_timestamp(logger, level, event)


def _add_timestamp(_logger: Any, _level: str, event: EventDict) -> EventDict:
    event["timestamp"] = _now()
    return event


def _now() -> str:
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    return f"{_format_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(1)
def _format_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _make_logger_class(level: int, *, readable: bool) -> type[Any]:
    """Return the class of our loggers, whose methods below the level do nothing."""
    filtering: type[Any] = structlog.make_filtering_bound_logger(level)
    if readable or level > logging.INFO:
        return filtering
    return type("JsonLogger", (_DirectInfo, filtering), {})


def configure_logs(form: Form, level: Level = "info", stream: TextIO = sys.stderr) -> None:
    """Send our events and those of the libraries through one renderer to `stream`.

    Lines below `level` are not written. Libraries log at `info` at least: their debug lines may
    contain credentials. A log that is not read never blocks a request: see `LogWriter`.
    """
    global _sink
    threshold = logging.getLevelNamesMapping()[level.upper()]
    readable = is_readable(form)
    sink = _sink = _create_sink(stream, readable=readable)
    renderers: list[Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if readable
        else [_TRACEBACKS, structlog.processors.JSONRenderer(_render_json)]
    )
    structlog.configure(
        processors=[_add_origin, *renderers],
        logger_factory=lambda name: _EventLogger(name, sink),
        wrapper_class=_make_logger_class(threshold, readable=readable),
        cache_logger_on_first_use=True,
    )
    handler = _LibraryHandler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _add_timestamp,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
    # Alembic logs each step; the command prints the outcome.
    quiet = max(threshold, logging.WARNING)
    logging.getLogger("alembic").setLevel(quiet)
    # httpx logs each URL; those of the range service contain five digits of a password hash.
    logging.getLogger("httpx").setLevel(quiet)


def _create_sink(stream: TextIO, *, readable: bool) -> Sink:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return _StreamSink(stream)
    with suppress(OSError):
        stream.flush()
    writer = LogWriter(descriptor, _render_dropped_text if readable else _render_dropped_json)
    atexit.register(writer.flush)
    return writer


_DROPPED = "log lines dropped"


def _render_dropped_text(lines: int) -> bytes:
    return f"{_now()} [warning  ] {_DROPPED} lines={lines}".encode()


def _render_dropped_json(lines: int) -> bytes:
    members = {"level": "warning", "logger": "gatehouse", "timestamp": _now()}
    return json_line({"event": _DROPPED, "lines": lines, **members})


def _render_json(event: Any, **_: object) -> str:
    return json_line(event).decode()
