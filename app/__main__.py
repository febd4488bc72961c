"""`gatehouse`, and `python -m app`."""

import sys

from app.standard_streams import open_standard_streams
from app.startup import fast_imports


def main() -> None:
    """Run the command line."""
    open_standard_streams()
    if sys.argv[1:2] == ["--version"]:
        # Other commands import nearly all modules, which takes a second.
        from app.cli.version import print_version

        print_version()
        return
    with fast_imports():
        # Imports nearly all modules of the process.
        from app.cli.main import main as run
    run()


if __name__ == "__main__":
    main()
