"""The credential of a request, and where clients send it by mistake."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.types import Scope

from app.domain.errors import CredentialFault, FieldError, InvalidInput, MisplacedCredential
from app.domain.text import only_letters

AUTHORIZATION, X_ACCESS_TOKEN = "Authorization", "X-Access-Token"
_BY_LINE = {b"authorization": AUTHORIZATION, b"x-access-token": X_ACCESS_TOKEN}
# Names of credentials in other APIs, without case and separators.
_ELSEWHERE = frozenset(
    {
        *("accesskey", "accesstoken", "apikey", "apitoken", "auth", "authentication"),
        *("authorization", "authtoken", "bearer", "bearertoken", "credential", "idtoken", "jwt"),
        *("key", "secret", "sessiontoken", "token", "xaccesskey", "xaccesstoken", "xapikey"),
        *("xapitoken", "xauth", "xauthorization", "xauthtoken", "xjwt", "xtoken", "xusertoken"),
    }
)
_NAME_MAX = 32
_QUERY_MAX, _COOKIE_MAX, _FIELDS_MAX = 4096, 4096, 100


def header_credential(scope: Scope) -> str | None:
    """Return the unverified credential of the two headers, ignoring other Authorization schemes.

    Raises InvalidInput if there are two different ones.
    """
    found: str | None = None
    found_in = b""
    for name, value in scope["headers"]:
        if name == b"x-access-token":
            sent = value.decode("latin-1")
        elif name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                continue
            sent = rest.strip(" \t")
        else:
            continue
        if found is not None and sent != found:
            raise _contradiction(found_in, name)
        found, found_in = sent, name
    return found


def _contradiction(first: bytes, second: bytes) -> InvalidInput:
    if first == second:
        reason = "is given twice with different credentials; send it once"
        return InvalidInput.for_fields(FieldError(_BY_LINE[first], reason, "header"))
    reason = "carries another credential than Authorization; send only one of the two headers"
    return InvalidInput.for_fields(FieldError(X_ACCESS_TOKEN, reason, "header"))


def names_credential(name: str) -> bool:
    """Return whether a name is one that other APIs have for a credential."""
    if len(name) > _NAME_MAX:
        return False
    return only_letters(name) in _ELSEWHERE


def misplaced_name(names: Iterable[str]) -> str | None:
    """Return the first of a request's names that other APIs have for a credential."""
    return next((name for name in names if type(name) is str and names_credential(name)), None)


def find_misplaced(scope: Scope) -> MisplacedCredential:
    """Return where a request without a credential seems to have one."""
    headers = {name: value for name, value in scope["headers"] if len(name) <= _NAME_MAX}
    if (sent := headers.get(b"authorization")) is not None:
        is_basic = sent.partition(b" ")[0].lower() == b"basic"
        return MisplacedCredential(CredentialFault.BASIC if is_basic else CredentialFault.NO_BEARER)
    others = (name.decode("latin-1") for name in headers if name not in _BY_LINE)
    if (name := misplaced_name(others)) is not None:
        return MisplacedCredential(CredentialFault.MISPLACED, f"The header {name.title()}")
    query = scope["query_string"][:_QUERY_MAX].decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=None)[:_FIELDS_MAX]
    if (name := misplaced_name(name for name, _ in pairs)) is not None:
        return MisplacedCredential(CredentialFault.MISPLACED, f"The query parameter {name}")
    cookies = headers.get(b"cookie", b"")[:_COOKIE_MAX].decode("latin-1").split(";")[:_FIELDS_MAX]
    names = (cookie.partition("=")[0].strip() for cookie in cookies)
    if (name := misplaced_name(names)) is not None:
        return MisplacedCredential(CredentialFault.MISPLACED, f"The cookie {name}")
    return MisplacedCredential()
