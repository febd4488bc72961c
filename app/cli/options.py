"""Arguments and options that several commands have."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AccountArgument = Annotated[
    str, typer.Argument(help="The account: username, uuid, snowflake or e-mail address.")
]
CursorOption = Annotated[
    str | None, typer.Option(help="The 'next' of the previous page, with the same filters.")
]
