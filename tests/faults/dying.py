"""`gatehouse serve`, but the process is killed at a moment of its first creation by REST.

python dying.py before-commit|after-commit serve
"""

import os
import signal
import sys
from typing import Any

from app import cli
from app.rest import answers, panel
from app.usecases.idempotency import Once


def die(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def die_when_all_is_written_but_the_commit() -> None:
    keep = Once.keep

    def keep_and_die(once: Any, tx: Any, create: Any) -> Any:
        keep(once, tx, create)
        die()

    Once.keep = keep_and_die  # type: ignore[method-assign, assignment]


def die_when_all_is_done_but_the_answer() -> None:
    answers.replayed = panel.replayed = die  # type: ignore[assignment, attr-defined]


if __name__ == "__main__":
    MOMENTS = {
        "before-commit": die_when_all_is_written_but_the_commit,
        "after-commit": die_when_all_is_done_but_the_answer,
    }
    MOMENTS[sys.argv.pop(1)]()
    cli.main()
