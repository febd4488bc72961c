"""`gatehouse`: run a command, and report its errors."""

import errno
import sys

from app.cli.output import fail, flush_output
from app.cli.serve import serve
from app.container import StartError
from app.domain.errors import DomainError
from app.environment import SettingsError
from app.security.key_files import SigningKeyError
from app.storage.errors import StoreError

_ACCESS = "The user that runs this command needs access to it: 'ls -ln' shows the owner."
_SPACE = "Free space on its disk, and repeat the command."
_REMEDIES = {
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: _ACCESS,
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
}


def main() -> None:
    """Run the command. An error is a sentence on standard error, and exit status 1 or 2."""
    try:
        _run()
    finally:
        flush_output()


def _run() -> None:
    try:
        # A server needs neither the other commands nor a parser for their arguments.
        if sys.argv[1:] == ["serve"]:
            serve()
        else:
            from app.cli.commands import run

            run()
    except SettingsError as error:
        fail(str(error), 2, "invalid-settings")
    except (StoreError, SigningKeyError, StartError) as error:
        fail(str(error), 1)
    except DomainError as error:
        fail(error.detail, 1, error.slug)
    except UnicodeEncodeError:
        # Only file names may contain bytes that are not UTF-8.
        fail("An argument is not in UTF-8.", 1)
    except OSError as error:
        reason = f"{error.filename or 'The system call failed'}: {error.strerror or error}."
        remedy = _REMEDIES.get(error.errno or 0)
        fail(" ".join([reason, *([remedy] if remedy else [])]), 1)
