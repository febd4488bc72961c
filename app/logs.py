"""Structured logs on stderr: readable in a terminal, JSON lines elsewhere."""

import json
import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from pydantic_core import PydanticSerializationError, to_json

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


def configure_logs(form: Form, stream: TextIO = sys.stderr) -> None:
    """Send our events and those of the libraries through one renderer to `stream`."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if is_readable(form)
        else [_TRACEBACKS, structlog.processors.JSONRenderer(_json_line)]
    )
    # Straight to the stream: through the standard library a line costs four times as much.
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=lambda name: _Lines(name, stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Alembic tells each step; who migrates is told the outcome.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _json_line(event: Any, **_: object) -> str:
    try:
        return to_json(event, fallback=repr).decode()
    except PydanticSerializationError:
        # A lone surrogate, say: the standard library escapes it.
        return json.dumps(event, default=repr)
