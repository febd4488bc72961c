"""Errors of the operating system, with what to do."""

import errno

_ACCESS = "The user that runs this command needs access to it: 'ls -ln' shows the owner."
_SPACE = "Free space on its disk, and repeat the command."
_REMEDIES = {
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: "Mount the file system writable, and repeat the command.",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
}


def describe_system_error(error: OSError) -> str:
    """Return a sentence for an operator."""
    if error.filename is None and error.strerror is None:
        return str(error)
    reason = f"{error.filename or 'The system call failed'}: {error.strerror or error}."
    remedy = _REMEDIES.get(error.errno or 0)
    return " ".join([reason, *([remedy] if remedy else [])])
