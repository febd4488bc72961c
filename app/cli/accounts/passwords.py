"""Passwords for a command: typed in a terminal without an echo, or a line of standard input.

They are never arguments, which other users of the machine and the shell's history can see.
"""

import sys
from getpass import getpass

from app.domain.errors import InvalidInput

# In bytes; longer than any valid password.
_LINE_MAX = 4096


def read_password() -> str:
    """Ask for a password twice in a terminal, else read a line. Raises InvalidInput, EOFError."""
    if not sys.stdin.isatty():
        return _read_line()
    password = getpass("Password: ")
    if getpass("The same again: ") != password:
        raise InvalidInput("The two passwords differ; nothing was changed.")
    return password


def _read_line() -> str:
    """Read a line of UTF-8, whatever the encoding of the terminal."""
    line = sys.stdin.buffer.readline(_LINE_MAX)
    if not line:
        raise InvalidInput("There is no password on standard input: send it as one line.")
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise InvalidInput("The password on standard input is not in UTF-8.") from None
