"""Table of methods: every operation of the catalog, under its own name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidInput
from app.http.params import InputSchema, input_schema
from app.operations.catalog import OPERATIONS
from app.operations.framework.operation import Operation
from app.rpc.envelope import invalid_params

Params = Mapping[str, Any] | Sequence[Any]


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
    members = params if isinstance(params, Mapping) else _name_params(schema, params)
    try:
        return schema.read(members)
    except InvalidInput as error:
        raise invalid_params(error.detail) from None


def _name_params(schema: InputSchema, values: Sequence[Any]) -> Mapping[str, Any]:
    names = schema.names
    if len(values) > len(names):
        known = f"only {', '.join(names)}" if names else "none"
        raise invalid_params(f"Too many parameters: the method takes {known}")
    sent = zip(names, values, strict=False)
    return {name: v for name, v in sent if v is not None or not schema.skips_null(name)}


def name_members(name: str, params: Params) -> tuple[str, Mapping[str, Any]]:
    """Return the method's name and its parameters by name, without surplus ones."""
    if isinstance(params, Mapping):
        return name, params
    names = METHODS[name].schema.names if name in METHODS else ()
    return name, dict(zip(names, params, strict=False))


METHODS: dict[str, Method] = {
    name: Method(operation, input_schema(operation.input)) for name, operation in OPERATIONS.items()
}
