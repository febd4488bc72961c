"""`gatehouse openapi` and `gatehouse openrpc`: the documents of the two APIs."""

from app.cli.command_setup import set_up_command
from app.cli.output import print_json


def openapi() -> None:
    """Print the OpenAPI document."""
    from app.rest.openapi import openapi_document

    print_json(openapi_document(set_up_command().public_url), indent=2)


def openrpc() -> None:
    """Print the OpenRPC document."""
    from app.rpc.openrpc import openrpc_document

    settings = set_up_command()
    print_json(openrpc_document(settings.base_url(settings.port)), indent=2)
