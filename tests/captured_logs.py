"""Captured log lines of a server, for tests that read them."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.logs.setup import Form, Level, configure_logs


@contextmanager
def captured(form: Form, level: Level = "info") -> Iterator[io.StringIO]:
    """Collect what the server would log; afterwards logging is as it was."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level_before = root.handlers[:], root.level
    written = io.StringIO()
    configure_logs(form, level, written)
    # A cached logger would keep this configuration for the tests after this one.
    structlog.configure(cache_logger_on_first_use=False)
    yield written
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level_before)
    logging.getLogger("httpx").setLevel(logging.NOTSET)
