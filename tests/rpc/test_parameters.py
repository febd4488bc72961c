"""Parameters by name and by position, for every method there is."""

from typing import Any

import pytest

from app.operations.catalog import OPERATIONS
from app.rpc.methods import METHODS
from tests.gateway import Gateway
from tests.rpc.wire import call, send

pytestmark = pytest.mark.anyio

INVALID_PARAMS = -32602
# The table of the wire contract, section 3; `?` stands for "may be left out".
CONTRACT = {
    "users.create": "username password display_name?",
    "users.auth": "username password",
    "users.check": "username",
    "users.self": "",
    "users.guilds": "",
    "users.profile": "user",
    "users.profiles": "users",
    "guilds.members": "id limit? cursor?",
    "users.presence": "presence?",
    "users.update": "display_name? username?",
    "users.password": "current password revoke_keys?",
    "users.logout": "",
    "users.refresh": "",
    "sessions.list": "",
    "sessions.revoke": "id?",
    "keys.list": "",
    "keys.create": "name expires_at? scope? networks?",
    "keys.revoke": "id",
    "admin.users.list": "username? email? user_id? admin? q? status? sort? limit? cursor?",
    "admin.users.get": "uuid",
    "admin.users.create": "username email password? admin? display_name?",
    "admin.users.update": (
        "uuid username? email? admin? password? display_name? disabled? if_match? id? servers? "
        "locked_until?"
    ),
    "admin.users.disable": "uuid",
    "admin.users.unlock": "uuid",
    "admin.sessions.list": "uuid",
    "admin.sessions.revoke": "uuid id?",
    "admin.keys.list": "uuid",
    "admin.keys.revoke": "uuid id?",
    "admin.audit.list": "actor? target? action? outcome? since? until? limit? cursor? after?",
    "admin.outbox.list": "user? state? limit? cursor?",
    "admin.servers.list": "",
    "admin.servers.put": "uuid owner name active?",
    "admin.servers.delete": "uuid",
    "admin.guilds.list": "",
    "admin.guilds.put": "id name owner_id icon?",
    "admin.guilds.delete": "id",
    "admin.guilds.members.put": "id user",
    "admin.guilds.members.delete": "id user",
}
PARAMS = [(method, name) for method, row in METHODS.items() for name in row.schema.names]
# Those that are arrays of strings.
ARRAYS = {
    ("keys.create", "networks"),
    ("users.profiles", "users"),
    ("admin.users.update", "servers"),
}
REQUIRED = [(m, name) for m, name in PARAMS if METHODS[m].schema.params[name].required]
OPTIONAL = [(m, name) for m, name in PARAMS if not METHODS[m].schema.params[name].required]
FLAGS = [("users.password", "revoke_keys"), ("admin.users.create", "admin")]


def example(method: str) -> dict[str, Any]:
    """A well-typed value for every parameter, in the order of positions."""
    docs = {name: param.doc for name, param in METHODS[method].schema.params.items()}
    return {name: "x" if doc.example is None else doc.example for name, doc in docs.items()}


async def error_of(gateway: Gateway, method: str, params: object) -> dict[str, Any]:
    reply = await send(gateway, call(method, params, auth=gateway.admin_key))
    error: dict[str, Any] = reply["error"]
    return error


def test_the_methods_are_the_operations_and_those_of_the_contract() -> None:
    assert set(METHODS) == set(OPERATIONS) == set(CONTRACT)


@pytest.mark.parametrize("method", CONTRACT)
def test_a_method_has_the_parameters_of_the_contract_in_its_order(method: str) -> None:
    params = METHODS[method].schema.params.values()
    assert " ".join(p.name + "?" * (not p.required) for p in params) == CONTRACT[method]


@pytest.mark.parametrize("method", METHODS)
def test_parameters_mean_the_same_by_position_as_by_name(method: str) -> None:
    by_name = example(method)
    assert METHODS[method].read(list(by_name.values())) == METHODS[method].read(by_name)


@pytest.mark.parametrize("form", [dict, lambda named: list(dict(named).values())])
@pytest.mark.parametrize("method", METHODS)
async def test_every_method_takes_all_its_parameters_in_both_forms(
    shared_gateway: Gateway, method: str, form: Any
) -> None:
    reply = await send(shared_gateway, call(method, form(example(method))))
    assert "result" in reply or reply["error"]["code"] == -32603


@pytest.mark.parametrize(("method", "name"), REQUIRED)
async def test_a_missing_parameter_is_named(
    shared_gateway: Gateway, method: str, name: str
) -> None:
    params = {key: value for key, value in example(method).items() if key != name}
    error = await error_of(shared_gateway, method, params)
    assert error == {
        "code": INVALID_PARAMS,
        "message": "Invalid params",
        "data": f"{name}: is required",
    }


@pytest.mark.parametrize(("method", "name"), REQUIRED)
async def test_positions_that_end_too_early_name_what_is_missing(
    shared_gateway: Gateway, method: str, name: str
) -> None:
    values = list(example(method).values())[: METHODS[method].schema.names.index(name)]
    error = await error_of(shared_gateway, method, values)
    assert error["code"] == INVALID_PARAMS
    assert f"{name}: is required" in error["data"]


@pytest.mark.parametrize(("method", "name"), OPTIONAL)
def test_an_optional_parameter_may_be_null_by_position(method: str, name: str) -> None:
    row, values = METHODS[method], example(method)
    if row.schema.params[name].takes_null:
        assert getattr(row.read([*{**values, name: None}.values()]), name) is None
        return
    left_out = {key: value for key, value in values.items() if key != name}
    assert row.read([*{**values, name: None}.values()]) == row.read(left_out)


@pytest.mark.parametrize("method", METHODS)
async def test_a_surplus_name_is_named(shared_gateway: Gateway, method: str) -> None:
    error = await error_of(shared_gateway, method, {**example(method), "surplus": 1})
    assert error["code"] == INVALID_PARAMS
    assert error["data"].startswith("surplus: is not known here (")
    known = [f"known: {', '.join(METHODS[method].schema.names)})", "nothing is read here)"]
    assert error["data"].endswith(tuple(known))


@pytest.mark.parametrize("method", METHODS)
async def test_a_surplus_position_is_refused_with_what_there_is(
    shared_gateway: Gateway, method: str
) -> None:
    error = await error_of(shared_gateway, method, [*example(method).values(), None])
    assert error["code"] == INVALID_PARAMS
    assert all(name in error["data"] for name in METHODS[method].schema.names)


async def test_a_method_without_parameters_says_so_in_a_sentence(shared_gateway: Gateway) -> None:
    error = await error_of(shared_gateway, "users.self", ["surplus"])
    assert not error["data"].rstrip().endswith(":")


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(("method", "name"), PARAMS)
async def test_a_parameter_of_the_wrong_type_is_named(
    shared_gateway: Gateway, method: str, name: str, number: int
) -> None:
    wrongs: list[object] = [{}, 1.5, [1] if (method, name) in ARRAYS else []]
    error = await error_of(shared_gateway, method, {**example(method), name: wrongs[number]})
    assert error["code"] == INVALID_PARAMS
    assert error["data"].startswith(f"{name}: ")


@pytest.mark.parametrize(("method", "name"), FLAGS)
@pytest.mark.parametrize("value", ["1", "true", "", 2, -1, 0.0, 1.0, None], ids=repr)
async def test_a_flag_is_0_1_true_or_false_and_nothing_like_it(
    shared_gateway: Gateway, method: str, name: str, value: object
) -> None:
    error = await error_of(shared_gateway, method, {**example(method), name: value})
    assert error["code"] == INVALID_PARAMS
    assert error["data"].startswith(f"{name}: must be 0, 1, true or false, not ")


@pytest.mark.parametrize(("method", "name"), FLAGS)
@pytest.mark.parametrize("value", [0, 1, False, True], ids=repr)
def test_a_flag_is_read_from_numbers_and_truth_values(
    method: str, name: str, value: object
) -> None:
    command = METHODS[method].read({**example(method), name: value})
    assert getattr(command, name) is bool(value)


@pytest.mark.parametrize("number", [True, 1.0, "1", 10**30], ids=repr)
async def test_a_limit_that_is_no_whole_number_in_range_is_never_a_fault(
    shared_gateway: Gateway, number: object
) -> None:
    request = call("admin.users.list", {"limit": number}, auth=shared_gateway.admin_key)
    assert (await send(shared_gateway, request))["error"]["data"].startswith(
        "limit: must be a whole number"
    )


async def test_a_well_typed_value_that_breaks_a_rule_is_an_error_of_the_domain(
    shared_gateway: Gateway,
) -> None:
    error = await error_of(shared_gateway, "users.create", {"username": "a b", "password": "x"})
    assert error["code"] == -32603
