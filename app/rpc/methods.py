"""The table of methods: every operation of the registry, under its own name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.rpc.envelope import invalid_params
from app.usecases.operation import Operation
from app.usecases.registry import OPERATIONS
from app.wire.inputs import InputForm, MalformedInputError, input_form

Params = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its operation, and the form of its parameters."""

    operation: Operation
    form: InputForm

    def read(self, params: Params) -> Any:
        """The operation's input. Raises RpcError."""
        return read_params(self.form, params)


def read_params(form: InputForm, params: Params) -> Any:
    """An input from parameters by name or by position. Raises RpcError."""
    members = params if isinstance(params, Mapping) else _by_name(form, params)
    try:
        return form.read(members)
    except MalformedInputError as error:
        raise invalid_params(str(error)) from None


def _by_name(form: InputForm, values: Sequence[Any]) -> Mapping[str, Any]:
    names = form.names
    if len(values) > len(names):
        known = f"only {', '.join(names)}" if names else "none"
        raise invalid_params(f"There are too many parameters: the method takes {known}")
    sent = zip(names, values, strict=False)
    return {name: v for name, v in sent if v is not None or not form.skips_null(name)}


METHODS: dict[str, Method] = {
    name: Method(operation, input_form(operation.input)) for name, operation in OPERATIONS.items()
}
