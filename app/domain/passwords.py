"""The password policy: what a password must be, and what form of it is hashed."""

from functools import cache
from importlib.resources import files
from unicodedata import normalize

from precis_i18n import get_profile

from app.domain.errors import WeakPassword
from app.domain.names import Username, email_key

PASSWORD_MIN, PASSWORD_MAX = 8, 128
# In NFD a character is at most four code points long.
_RAW_MAX = PASSWORD_MAX * 4

_OPAQUE = get_profile("OpaqueString")


def new_password(raw: str, *, username: str, email: str | None) -> str:
    """Prepare a password somebody wants to set; raise WeakPassword saying which rule it breaks.

    RFC 8265 section 4.2 (OpaqueString), then 8 to 128 code points; not a common password, not the
    username, not the e-mail address. Never trimmed and never truncated.
    """
    if len(raw) > _RAW_MAX or len(normalize("NFC", raw)) > PASSWORD_MAX:
        raise WeakPassword(f"A password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    prepared = presented_password(raw)
    if prepared is None:
        raise WeakPassword("A password must not be empty or have control or unassigned characters")
    if len(prepared) < PASSWORD_MIN:
        raise WeakPassword(f"A password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    if prepared.casefold() in _common_passwords():
        raise WeakPassword("This password is too common")
    is_name = (name := Username.find(prepared)) is not None and name.value == username
    if is_name or (email is not None and email_key(prepared) == email_key(email)):
        raise WeakPassword("A password must be neither the username nor the e-mail address")
    return prepared


def presented_password(raw: str) -> str | None:
    """The form of a presented password that is verified; None for what nobody can have set.

    NFC and NFD forms of one password are one.
    """
    # Bounded first: the context rules of PRECIS cost the square of the length.
    if len(raw) > _RAW_MAX or len(text := normalize("NFC", raw)) > PASSWORD_MAX:
        return None
    try:
        return str(_OPAQUE.enforce(text))
    except ValueError:
        return None


@cache
def _common_passwords() -> frozenset[str]:
    text = files("app.domain").joinpath("common_passwords.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(normalize("NFC", line).casefold() for line in lines)
