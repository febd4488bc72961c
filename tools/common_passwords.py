"""Write `app/domain/common_passwords.txt`, the passwords nobody may set.

    python tools/common_passwords.py common-passwords.txt.gz LICENSE

The first file is `django/contrib/auth/common-passwords.txt.gz`, the second the licence, both as
Django ships them (the present list: Django 5.2.19; Royce Williams made it, from 20,000 common
passwords). Kept is what only a list can refuse, lower-cased, unique and sorted.
"""

import gzip
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "app" / "domain" / "common_passwords.txt"
# Shorter ones are refused for their length.
PASSWORD_MIN = 8
# The examples of the published interface, in lower case, have to stay possible.
EXAMPLES = {"********", "rawpassword1"}


def kept(password: str) -> bool:
    """Whether the list has to name this password.

    A line that starts with `#` would read as a comment, and what is not ASCII in the source is
    text in a broken encoding, which nobody types.
    """
    is_entry = password.isascii() and not password.startswith("#")
    return is_entry and len(password) >= PASSWORD_MIN and password not in EXAMPLES


def header(licence: str) -> list[str]:
    """Where the list is from, and the licence it may be passed on under."""
    lines = (
        "Common passwords of 8 characters or more, lower-cased, unique and sorted.",
        "From Django 5.2, django/contrib/auth/common-passwords.txt.gz (BSD-3-Clause, below);",
        "written by tools/common_passwords.py.",
        "",
        *licence.splitlines(),
    )
    return [f"# {line}".rstrip() for line in lines]


def main(source: str, licence: str) -> None:
    passwords = gzip.decompress(Path(source).read_bytes()).decode().lower().splitlines()
    rows = sorted(set(filter(kept, passwords)))
    text = "\n".join((*header(Path(licence).read_text(encoding="utf-8")), *rows, ""))
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
