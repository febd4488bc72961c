"""`gatehouse serve`."""

from app.cli.command_setup import set_up_command
from app.server.supervisor import shared_metrics
from app.startup import fast_imports


def serve() -> None:
    """Migrate the database, create the first admin if there is none, and serve until SIGTERM."""
    settings = set_up_command()
    with shared_metrics(settings.workers):
        # No other command needs the web framework, and importing it takes most of a start.
        with fast_imports():
            from app.main import create_app
            from app.server.run import serve as run_server

        run_server(settings, create_app)
