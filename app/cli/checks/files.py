"""Files of an installation: who can access and who owns them, and the space for them."""

import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote

from app.cli.checks.findings import Finding, bad, note, ok
from app.container import ADMIN_KEY_FILE
from app.security.key_files import KEY_FILE
from app.settings import Settings

# Besides the size of the database: a migration or a backup needs that much again.
FREE_BYTES = 256 * 1024 * 1024


def check_modes(settings: Settings) -> Iterator[Finding]:
    """Check that no other user can access what is private, and that one user owns it."""
    private = {settings.data_dir: 0o700}
    if settings.sqlite_path is not None:
        private[settings.sqlite_path] = 0o600
    # `_check_signing_key` reports a missing file.
    if (settings.data_dir / KEY_FILE).exists():
        private[settings.data_dir / KEY_FILE] = 0o600
    for path, wanted in private.items():
        yield _check_mode(path, wanted)
    yield from _check_owners(settings.data_dir, private)


def _check_owners(data_dir: Path, paths: Iterable[Path]) -> Iterator[Finding]:
    """Find what another user left, such as root with a command: the service cannot write it."""
    with suppress(OSError):
        owner = data_dir.stat().st_uid
        inside = {*data_dir.glob("*"), *data_dir.glob("workers/*")}
        # Only links of the operator are followed, to a database elsewhere. The service can create
        # others, to a file of the system that `chown` would then give to it.
        ours = {path.resolve() if path.is_symlink() else path for path in paths}
        for path in sorted(ours | {path for path in inside if not path.is_symlink()}):
            with suppress(OSError):
                if (found := path.lstat().st_uid) != owner:
                    repair = f"chown -h {owner} {quote(str(path))}"
                    detail = f"belongs to user {found}, the data directory to {owner}: {repair}"
                    yield bad(str(path), detail)


def _quoted(path: str) -> str:
    """Return a path as one word of a shell's command line."""
    is_plain = all(c.isalnum() or c in "/._-" for c in path)
    return path if is_plain else "'" + path.replace("'", "'\\''") + "'"


def _check_mode(path: Path, wanted: int) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return bad(str(path), "does not exist")
    except OSError as error:
        return bad(str(path), error.strerror or "cannot be read")
    if mode & ~wanted:
        return bad(str(path), f"other users can access it (mode {mode:04o}): chmod {wanted:o}")
    return ok(str(path), f"private (mode {mode:04o})")


def check_admin_key(settings: Settings) -> Iterator[Finding]:
    """Find the key that the first start wrote."""
    path = settings.data_dir / ADMIN_KEY_FILE
    if path.exists():
        yield note(str(path), "the key of the first admin: store it elsewhere and remove it here")


def check_free_space(settings: Settings) -> Finding:
    """Check that a migration or a backup has room."""
    path = settings.sqlite_path
    folder = settings.data_dir if path is None else path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
        needed = FREE_BYTES + (path.stat().st_size if path is not None and path.exists() else 0)
    except OSError as error:
        return bad("free space", error.strerror or "cannot be determined")
    if free < needed:
        return bad(
            "free space", f"{_size(free)} at {folder}: a backup or migration needs {_size(needed)}"
        )
    return ok("free space", f"{_size(free)} at {folder}")


def _size(size: int) -> str:
    mebibytes = size / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 10_000 else f"{mebibytes / 1024:.0f} GiB"
