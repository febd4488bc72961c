"""Standard input, output and error."""

import os
import sys
from io import TextIOWrapper
from typing import TextIO


def open_standard_streams() -> None:
    """Open the descriptors 0 to 2 if they are closed, and escape what their encoding lacks.

    Otherwise a socket or a database would get the number of a closed descriptor, and output to
    standard error would be written there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # `open` returns the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = _open_stream(sys.stdin, 0, "r")
    sys.stdout = _open_stream(sys.stdout, 1, "w")
    sys.stderr = _open_stream(sys.stderr, 2, "w")


def _open_stream(stream: TextIO | None, descriptor: int, mode: str) -> TextIO:
    if stream is None:
        # Python creates no stream for a descriptor that is closed at its start.
        opened = open(descriptor, f"{mode}b", closefd=False)  # noqa: SIM115
        stream = TextIOWrapper(opened, "utf-8", write_through=True)
    if mode == "w" and isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
