"""`gatehouse openapi` and `gatehouse openrpc`: the documents of the two APIs."""

from app.cli.command_setup import set_up_command
from app.cli.options import AsJson
from app.cli.output import dump_json
from app.settings import Settings


def openapi(_as_json: AsJson = True) -> None:
    """Print the OpenAPI document."""
    from app.rest.openapi import openapi_document

    settings = set_up_command()
    print(dump_json(openapi_document(settings.public_url, _introduce(settings)), indent=2))


def openrpc(_as_json: AsJson = True) -> None:
    """Print the OpenRPC document."""
    from app.rpc.openrpc import openrpc_document

    settings = set_up_command()
    url = settings.base_url(settings.port)
    print(dump_json(openrpc_document(url, _introduce(settings)), indent=2))


def _introduce(settings: Settings) -> str:
    from app.http.introduction import introduce

    return introduce(
        settings.rules,
        has_origins=bool(settings.cors_origins),
        base_path=settings.base_path,
    )
