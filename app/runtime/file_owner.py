"""The owner of files that a command of root creates."""

import os
from contextlib import suppress
from pathlib import Path


def adopt_owner(descriptor: int, folder: Path) -> None:
    """As root, give a file that was just created in `folder` to the owner of `folder`.

    The service, which runs as that user, could not read it otherwise. Only for a file that this
    process has created (O_EXCL): another one may be a link to any file.
    """
    if os.geteuid() == 0:
        status = folder.stat()
        # Root may lack this privilege, in a container for example.
        with suppress(OSError):
            os.fchown(descriptor, status.st_uid, status.st_gid)


def create_private(path: Path) -> int:
    """Create a file (0600) with the owner of its folder; return its descriptor.

    Raises FileExistsError.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    adopt_owner(descriptor, path.parent)
    return descriptor
