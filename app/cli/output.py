"""Output of the commands: results on standard output, errors as one sentence on standard error."""

import json
import os
import sys
from datetime import datetime
from typing import NoReturn


def print_json(value: object, indent: int | None = None) -> None:
    """Print `value` as JSON; characters that the output's encoding may lack are escaped."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    default = datetime.isoformat if indent is None else None
    print(json.dumps(value, ensure_ascii=not is_unicode, indent=indent, default=default))


def print_error(sentence: str) -> None:
    """Print a sentence on standard error."""
    print(f"gatehouse: {sentence}", file=sys.stderr)


def fail(sentence: str, status: int) -> NoReturn:
    """Print a sentence on standard error and exit with `status`."""
    print_error(sentence)
    sys.exit(status)


def flush_output() -> None:
    """Write what is buffered; exit with status 1 if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more at exit, and would report the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"The command ran, but its output could not be written: {error.strerror}.", 1)


def pluralize(count: int, noun: str) -> str:
    """Return, for example, '1 account' or '2 accounts'."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
