"""`gatehouse signing-keys`: the keys that sign tokens."""

from collections.abc import Awaitable
from datetime import datetime

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AsJson
from app.cli.output import print_json, print_table
from app.container import Container
from app.domain.signing_keys import PublicKey
from app.domain.timestamps import format_time
from app.operations import operator
from app.security.clock import SystemClock

app = typer.Typer(help="The keys that sign tokens.", no_args_is_help=True)


@app.command("list")
def list_signing_keys(as_json: AsJson = False) -> None:
    """List the public keys that verify tokens: kid, created, signs from, retired."""
    now = SystemClock().now()
    keys = run_in_container(lambda it: operator.list_published_keys(it.services))
    if as_json:
        print_json([_view(key, now) for key in keys])
    else:
        rows = [list(_view(key, now).values()) for key in keys]
        print_table(["kid", "created", "signs from", "retired"], rows)


def _view(key: PublicKey, now: datetime) -> dict[str, str | datetime | None]:
    return {
        "kid": key.kid,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "retired_at": key.ends_at if key.ends_at <= now else None,
    }


@app.command("rotate")
def rotate_signing_key(as_json: AsJson = False) -> None:
    """Publish the next key; the servers sign with it from the printed time on."""

    def rotate(container: Container) -> Awaitable[PublicKey]:
        record = operator.record_rotation(container.services)
        return container.signing.rotate(container.services.store, record)

    key = run_in_container(rotate)
    if as_json:
        print_json(_view(key, SystemClock().now()))
    else:
        print(f"{key.kid}\tsigns from {format_time(key.signs_from)}")
