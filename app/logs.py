"""Structured logs on stderr: readable in a terminal, JSON lines elsewhere."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Any, BinaryIO, Literal, TextIO

from pydantic_core import PydanticSerializationError, to_json

from app.imports import hidden

# It would be loaded with 50 more, to show tracebacks in a way that is not ours.
with hidden("rich"):
    import structlog
    from structlog.typing import EventDict, Processor

# Without the frames' variables: a password may be among them.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)

Form = Literal["auto", "console", "json"]


def is_readable(form: Form) -> bool:
    """Whether the log is for eyes; else it is for machines."""
    return form == "console" or (form == "auto" and sys.stderr.isatty())


class _Lines(structlog.WriteLogger):
    """Writes lines; its name says where they come from."""

    def __init__(self, name: str, stream: TextIO) -> None:
        super().__init__(stream)
        self.name = name
        # A stream of text encodes, looks for line ends, and flushes twice.
        self._bytes: BinaryIO | None = getattr(stream, "buffer", None)

    def put(self, line: bytes) -> None:
        """Write a line that is encoded already."""
        if self._bytes is None:
            self.msg(line.decode())
            return
        # Nobody is refused an answer because nobody reads the log any more.
        with suppress(OSError):
            self._bytes.write(line + b"\n")
            self._bytes.flush()


_Logger = structlog.make_filtering_bound_logger(logging.INFO)


class _JsonLogger(_Logger):  # type: ignore[misc,valid-type]
    """Says what the chain of processors would, in a third of the time: each request has a line."""

    def info(self, event: str, **members: Any) -> None:
        lines = self._logger
        lines.put(
            _json(
                {
                    "event": event,
                    **members,
                    "level": "info",
                    "logger": lines.name,
                    "timestamp": _now(),
                }
            )
        )


def _stamped(logger: Any, level: str, event: EventDict) -> EventDict:
    event["level"] = level
    event["logger"] = logger.name
    return _timestamp(logger, level, event)


def _timestamp(_logger: Any, _level: str, event: EventDict) -> EventDict:
    event["timestamp"] = _now()
    return event


def _now() -> str:
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def configure_logs(form: Form, stream: TextIO = sys.stderr) -> None:
    """Send our events and those of the libraries through one renderer to `stream`."""
    readable = is_readable(form)
    last: list[Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if readable
        else [_TRACEBACKS, structlog.processors.JSONRenderer(_json_line)]
    )
    structlog.configure(
        processors=[_stamped, *last],
        logger_factory=lambda name: _Lines(name, stream),
        wrapper_class=_Logger if readable else _JsonLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _timestamp,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Alembic tells each step; who migrates is told the outcome.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # httpx tells each address that it asks; one of them has five digits of a password's hash.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _json_line(event: Any, **_: object) -> str:
    return _json(event).decode()


def _json(event: Any) -> bytes:
    try:
        return to_json(event, fallback=repr)
    except PydanticSerializationError:
        # A lone surrogate, say: the standard library escapes it.
        return json.dumps(event, default=repr).encode()
