"""Boundaries of requests, beside the parser of httptools (llhttp)."""

from collections.abc import Callable
from typing import Any

import httptools

from app.domain.text import Pattern

# A single read, with an incomplete head before it.
_TEXT_MAX = 16 * 1024 * 1024
_EMPTY_LINES = Pattern(rb"(?:\r\n)*+", _TEXT_MAX)
_CRLF = b"\r\n"
_CALLBACKS = [
    *("on_message_begin", "on_url", "on_header", "on_headers_complete"),
    *("on_body", "on_message_complete"),
]


class RequestLines:
    """Checks the request lines of a connection byte by byte.

    llhttp accepts RTSP and ICE, several blanks in place of one, and any line ends before a line. It
    does not report where a request begins, so this class tracks the position: after the previous
    head, and after its body if that has a length.
    """

    __slots__ = ("chunks_start", "position", "text")

    def __init__(self) -> None:
        self.text = b""
        # Where in the text the next request begins; -1 if that is unknown after a chunked body,
        # which begins at `chunks_start`.
        self.position = 0
        self.chunks_start = 0

    def feed(self, data: bytes) -> None:
        """Add bytes that follow complete requests."""
        self.text, self.position = self._leftover() + data, 0

    def feed_head(self, data: bytes) -> None:
        """Add bytes of a head."""
        start = self.chunks_start if self.position < 0 else self.position
        self.text, self.position, self.chunks_start = (
            self.text[start:] + data,
            min(self.position, 0),
            0,
        )

    def feed_body(self, data: bytes) -> None:
        """Add bytes of a body."""
        if self.position < 0:
            # The line ends after the chunks may arrive in pieces.
            last = self.text[-3:]
            data = last[len(last.rstrip(_CRLF)) :] + data
        self.text, self.position, self.chunks_start = data, min(self.position, 0), 0

    def skip_body(self, size: int) -> None:
        """Skip a piece of a body that has a length."""
        if self.position >= 0:
            self.position += size

    def consume_head(self, line: bytes, is_chunked: bool) -> bool:
        """Skip a head that begins with exactly this line; return False if it does not."""
        text, start = self.text, self.position
        if start < 0 or not text.startswith(line, start):
            start = self._find_line(line)
            if start < 0:
                return False
        end = text.find(b"\r\n\r\n", start + len(line) - 2) + 4
        self.position, self.chunks_start = (-1, end) if is_chunked else (end, 0)
        return True

    def _find_line(self, line: bytes) -> int:
        """Return the position of the line after nothing but empty lines; -1 if it is not there."""
        text = self.text
        if self.position >= 0:
            first, start = self.position, _end_of_empty_lines(text, self.position)
        else:
            start = text.find(_CRLF + line, self.chunks_start) + 2
            first = len(text[:start].rstrip(_CRLF))
        if start < 2 or not text.startswith(line, start):
            return -1
        return start if _end_of_empty_lines(text, first) == start else -1

    def _leftover(self) -> bytes:
        """Return the line ends after the last request that are not, or not yet, empty lines."""
        start = self.position if self.position >= 0 else len(self.text.rstrip(_CRLF))
        end = _end_of_empty_lines(self.text, start)
        return self.text[end : end + 2]


class UpgradeIgnoringCallbacks:
    """Parser callbacks of a connection for the body of a request that offers an upgrade.

    A new parser reads the head without the offer; its callbacks for that head are not passed on.
    """

    def __init__(self, connection: Any) -> None:
        self._is_silent = True
        for name in _CALLBACKS:
            setattr(self, name, self._unless_silent(getattr(connection, name)))

    def create_parser(self, head: bytes) -> httptools.HttpRequestParser:
        """Return a parser that has read the head."""
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        parser.feed_data(head)
        self._is_silent = False
        return parser

    def _unless_silent(self, callback: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: bytes) -> None:
            if not self._is_silent:
                callback(*arguments)

        return wrapped


def _end_of_empty_lines(text: bytes, start: int) -> int:
    found = _EMPTY_LINES.match(text, start)
    assert found is not None
    return found.end()
