"""`gatehouse`: assemble the commands, and report their errors."""

import typer

from app.cli import audit, documents, keys, maintenance, outbox, serve, signing_keys, users
from app.cli.output import fail, flush_output
from app.container import StartError
from app.domain.errors import DomainError
from app.environment import SettingsError
from app.security.key_files import SigningKeyError
from app.storage.errors import StoreError

app = typer.Typer(
    help="One user directory with two doors.", no_args_is_help=True, pretty_exceptions_enable=False
)
for _command in (
    serve.serve,
    maintenance.migrate,
    maintenance.backup,
    maintenance.restore,
    maintenance.restored,
    documents.openapi,
    documents.openrpc,
    maintenance.doctor,
):
    app.command()(_command)
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(signing_keys.app, name="signing-keys")
app.add_typer(audit.app, name="audit")
app.add_typer(outbox.app, name="outbox")


def main() -> None:
    """Run the command. An error is a sentence on standard error, and exit status 1 or 2."""
    try:
        _run()
    finally:
        flush_output()


def _run() -> None:
    try:
        app()
    except SettingsError as error:
        fail(str(error), 2)
    except (StoreError, SigningKeyError, StartError) as error:
        fail(str(error), 1)
    except DomainError as error:
        fail(error.detail, 1)
    except UnicodeEncodeError:
        # Only file names may contain bytes that are not UTF-8.
        fail("An argument is not in UTF-8.", 1)
    except OSError as error:
        fail(f"{error.filename or 'The system call failed'}: {error.strerror or error}.", 1)
