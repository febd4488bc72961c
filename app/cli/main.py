"""`gatehouse`: run a command, and report its errors."""

import sys

from app.cli.output import fail, flush_output
from app.cli.serve import serve
from app.cli.system_errors import describe_system_error
from app.container import StartError
from app.domain.errors import DomainError, Overloaded
from app.environment import SettingsError
from app.security.key_files import SigningKeyError
from app.storage.errors import StoreError


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
    except Overloaded as error:
        fail(f"{error.detail} 'gatehouse doctor' shows the cause.", 1, error.slug)
    except DomainError as error:
        fail(error.detail, 1, error.slug)
    except UnicodeEncodeError:
        # Only file names may contain bytes that are not UTF-8.
        fail("An argument is not in UTF-8.", 1)
    except OSError as error:
        fail(describe_system_error(error), 1)
