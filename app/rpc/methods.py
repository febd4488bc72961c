"""Table of methods: every operation of the catalog, under its own name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidInput
from app.domain.quoting import QUOTED_MAX
from app.domain.text import closest_match, only_letters
from app.http.params import InputSchema, input_schema
from app.operations.catalog import OPERATIONS
from app.operations.framework.operation import Operation
from app.rpc.envelope import DISCOVER, invalid_params

# As parsed from JSON.
Params = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Method:
    """An operation and the schema of its parameters."""

    operation: Operation
    schema: InputSchema

    def read(self, params: Params) -> Any:
        """Return the input of the operation. Raises RpcError."""
        return read_params(self.schema, params)


def read_params(schema: InputSchema, params: Params) -> Any:
    """Return an input from parameters by name or by position. Raises RpcError."""
    members = params if isinstance(params, dict) else _name_params(schema, params)
    try:
        return schema.read(members)
    except InvalidInput as error:
        reason = error.detail
        if _is_object_in_array(schema, params):
            reason += ". Send an object of parameters without the array around it."
        raise invalid_params(reason, error.field_errors) from None


def _is_object_in_array(schema: InputSchema, params: Params) -> bool:
    """Return whether an array has one object that is meant to be the parameters by name."""
    if isinstance(params, dict) or len(params) != 1:
        return False
    (only,) = params
    return type(only) is dict and not only.keys().isdisjoint(schema.names)


def _name_params(schema: InputSchema, values: Sequence[Any]) -> Mapping[str, Any]:
    names = schema.names
    if len(values) > len(names):
        known = f"only {', '.join(names)}" if names else "none"
        raise invalid_params(f"Too many parameters: the method takes {known}.")
    sent = zip(names, values, strict=False)
    return {name: v for name, v in sent if v is not None or not schema.skips_null(name)}


# What methods are called elsewhere, without case, separators and a leading 'users'.
_OTHER_NAMES = {
    **dict.fromkeys(
        ("authenticate", "authlogin", "authorize", "login", "session", "signin", "token"),
        "users.auth",
    ),
    **dict.fromkeys(
        ("add", "createuser", "new", "register", "registration", "signup"), "users.create"
    ),
    **dict.fromkeys(("account", "current", "info", "me", "whoami"), "users.self"),
    **dict.fromkeys(("available", "exist", "exists"), "users.check"),
    **dict.fromkeys(("get", "getuser", "getprofile", "show"), "users.profile"),
    **dict.fromkeys(("presenceset", "setpresence", "status", "setstatus"), "users.presence"),
    **dict.fromkeys(("keysdelete", "keysremove"), "keys.revoke"),
    **dict.fromkeys(("sessionsdelete", "sessionsend", "sessionsremove"), "sessions.revoke"),
    **dict.fromkeys(("adminusersadd", "adminusersnew"), "admin.users.create"),
    **dict.fromkeys(("logoff", "signout"), "users.logout"),
    **dict.fromkeys(("renew", "refreshtoken"), "users.refresh"),
    **dict.fromkeys(("adminusers", "all", "listusers", "adminlistusers"), "admin.users.list"),
    **dict.fromkeys(
        ("adminusersdelete", "adminusersremove", "delete", "remove"), "admin.users.disable"
    ),
    **dict.fromkeys(
        ("help", "listmethods", "methods", "systemlistmethods", "systemdescribe"), DISCOVER
    ),
}


def nearest_method(name: str) -> str | None:
    """Return the method that is probably meant by an unknown name, or None."""
    if len(name) > QUOTED_MAX:
        return None
    letters = only_letters(name)
    bare = letters.removeprefix("rpc").removeprefix("users").removeprefix("user")
    for meant in (_OTHER_NAMES.get(letters), _OTHER_NAMES.get(bare), f"users.{bare}"):
        if meant in METHODS or meant == DISCOVER:
            return meant
    return closest_match(name, (*METHODS, DISCOVER), QUOTED_MAX)


def name_members(name: str, params: Params) -> tuple[str, Mapping[str, Any]]:
    """Return the method's name and its parameters by name, without surplus ones."""
    if isinstance(params, dict):
        return name, params
    names = METHODS[name].schema.names if name in METHODS else ()
    return name, dict(zip(names, params, strict=False))


METHODS: dict[str, Method] = {
    name: Method(operation, input_schema(operation.input)) for name, operation in OPERATIONS.items()
}
