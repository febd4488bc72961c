"""Settings, logs and services for a command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.container import Container, open_container
from app.logs.setup import configure_logs
from app.settings import Settings, load_settings

T = TypeVar("T")


def set_up_command() -> Settings:
    """Read the settings and configure the logs. Raises SettingsError."""
    settings = load_settings()
    configure_logs(settings.log_format, settings.log_level)
    return settings


def run_in_container(work: Callable[[Container], Awaitable[T]]) -> T:
    """Return the result of `work`, which gets the services of this installation."""

    async def run() -> T:
        async with open_container(set_up_command()) as container:
            return await work(container)

    return asyncio.run(run())
