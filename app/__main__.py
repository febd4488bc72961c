"""`gatehouse`, and `python -m app`."""

from app.standard_streams import open_standard_streams
from app.startup import fast_imports


def main() -> None:
    """Run the command line."""
    open_standard_streams()
    with fast_imports():
        # Imports nearly all modules of the process.
        from app.cli.main import main as run
    run()


if __name__ == "__main__":
    main()
