"""`gatehouse`, and `python -m app`."""

from app.imports import nothing_to_collect


def main() -> None:
    """See `app.cli.main`."""
    with nothing_to_collect():
        # Imported only now: these are nearly all the modules there are.
        from app.cli import main as run
    run()


if __name__ == "__main__":
    main()
