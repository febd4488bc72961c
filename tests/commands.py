"""Commands of `gatehouse` in the process of the tests: a new process takes a second to start."""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from app.cli import command_setup
from app.cli.main import main
from app.standard_streams import open_standard_streams
from tests.server_process import Finished, environment


def run_here(
    folder: Path, *arguments: str, stdin: str = "", encoding: str = "utf-8", **settings: str
) -> Finished:
    """Run a command like `tests.server_process.run`, but in this process and without its log.

    `encoding` is that of the standard streams, as PYTHONIOENCODING sets it; with 'latin-1', each
    character is a byte.
    """
    octets = stdin.encode(encoding)
    with _process(folder, ["gatehouse", *arguments], environment(folder, settings), octets):
        return _run(_stream(encoding), _stream(encoding))


def run_in_terminal(folder: Path, *arguments: str) -> str:
    """Run a command whose output is a terminal; return the output."""
    out = _stream("utf-8")
    with (
        _process(folder, ["gatehouse", *arguments], environment(folder, {}), b""),
        patch.object(out, "isatty", lambda: True),
    ):
        return _run(out, _stream("utf-8")).out


def _run(out: io.TextIOWrapper, err: io.TextIOWrapper) -> Finished:
    with redirect_stdout(out), redirect_stderr(err):
        open_standard_streams()
        status = _status()
    return Finished(status, _text(out), _text(err))


def _status() -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@contextmanager
def _process(
    folder: Path, arguments: list[str], environ: Mapping[str, str], stdin: bytes
) -> Iterator[None]:
    with (
        chdir(folder),
        patch.dict(os.environ, environ, clear=True),
        patch.object(sys, "argv", arguments),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8")),
        patch.object(command_setup, "configure_logs", lambda *_: None),
    ):
        yield


def _stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode(stream.encoding)
