"""`gatehouse signing-keys`: the keys that sign tokens."""

from collections.abc import Awaitable

import typer

from app.cli.command_setup import run_in_container
from app.container import Container
from app.domain.signing_keys import PublicKey
from app.operations import operator
from app.security.clock import SystemClock

app = typer.Typer(help="The keys that sign tokens.", no_args_is_help=True)


@app.command("list")
def list_signing_keys() -> None:
    """List the public keys that verify tokens: kid, created, signs from, retired."""
    now = SystemClock().now()
    for key in run_in_container(lambda it: operator.list_published_keys(it.services)):
        retired = key.ends_at.isoformat() if key.ends_at <= now else "-"
        times = [key.created_at.isoformat(), key.signs_from.isoformat(), retired]
        print("\t".join([key.kid, *times]))


@app.command("rotate")
def rotate_signing_key() -> None:
    """Publish the next key; the servers sign with it from the printed time on."""

    def rotate(container: Container) -> Awaitable[PublicKey]:
        record = operator.record_rotation(container.services)
        return container.signing.rotate(container.services.store, record)

    key = run_in_container(rotate)
    print(f"{key.kid}\tsigns from {key.signs_from.isoformat()}")
