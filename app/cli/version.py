"""`gatehouse --version`."""

from app.cli.output import dump_json, fail_unwritten, wants_json
from app.version import VERSION, describe_version, find_commit


def print_version() -> None:
    """Print the version and the commit. It needs no settings and no data directory."""
    text = f"gatehouse {describe_version()}"
    if wants_json():
        text = dump_json({"version": VERSION, "commit": find_commit()})
    try:
        print(text, flush=True)
    except OSError as error:
        fail_unwritten(error)
