"""Write `app/domain/common_passwords.txt`, the passwords that are refused.

    python tools/common_passwords.py common-passwords.txt.gz LICENSE

The first file is `django/contrib/auth/common-passwords.txt.gz`, the second its licence, both from
Django (the current list: Django 5.2.19, compiled by Royce Williams from 20,000 common passwords).
The output has the passwords that no other rule refuses, in lower case, unique and sorted.
"""

import gzip
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "app" / "domain" / "common_passwords.txt"
# Shorter passwords are refused by their length.
PASSWORD_MIN = 8
# Examples of the published interface in lower case, which must remain valid.
EXAMPLES = {"********", "rawpassword1"}


def is_listed(password: str) -> bool:
    """Return whether a password belongs into the list.

    A line that starts with `#` would be a comment. Entries that are not ASCII have a broken
    encoding in the source, so no user types them.
    """
    is_entry = password.isascii() and not password.startswith("#")
    return is_entry and len(password) >= PASSWORD_MIN and password not in EXAMPLES


def header(licence: str) -> list[str]:
    """Return the origin of the list and its licence as comments."""
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
    rows = sorted(set(filter(is_listed, passwords)))
    text = "\n".join((*header(Path(licence).read_text(encoding="utf-8")), *rows, ""))
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
