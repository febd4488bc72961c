"""`gatehouse openapi` and `gatehouse openrpc`: the documents of the two APIs."""

from app.cli.command_setup import set_up_command
from app.cli.output import print_json
from app.settings import Settings


def openapi() -> None:
    """Print the OpenAPI document."""
    from app.rest.openapi import openapi_document

    settings = set_up_command()
    print_json(openapi_document(settings.public_url, _introduce(settings)), indent=2)


def openrpc() -> None:
    """Print the OpenRPC document."""
    from app.rpc.openrpc import openrpc_document

    settings = set_up_command()
    url = settings.base_url(settings.port)
    print_json(openrpc_document(url, _introduce(settings)), indent=2)


def _introduce(settings: Settings) -> str:
    from app.http.introduction import introduce

    return introduce(settings.rules, has_origins=bool(settings.cors_origins))
