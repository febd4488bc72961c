"""All commands, as one typer application."""

import typer

from app.cli import audit, documents, keys, maintenance, outbox, serve, signing_keys, users

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
