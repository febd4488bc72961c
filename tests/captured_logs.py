"""Captured log lines of a server, for tests that read them."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.logs.setup import Form, configure_logs


@contextmanager
def captured(form: Form) -> Iterator[io.StringIO]:
    """Collect what the server would log; afterwards logging is as it was."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    configure_logs(form, written)
    # A cached logger would keep this configuration for the tests after this one.
    structlog.configure(cache_logger_on_first_use=False)
    yield written
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(logging.NOTSET)
