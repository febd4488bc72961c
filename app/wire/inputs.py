"""From the members of a request to an operation's input, and what the documents say of both.

The types decide: an operation's input dataclass is read strictly (a string is a string; a flag is
0, 1, true or false), unknown members are refused, and UNSET marks what may be left out.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from functools import cache, cached_property
from inspect import getdoc
from types import NoneType
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypeAliasType, TypedDict

from app.domain.errors import FLAWS_MAX, Flaw, InvalidInput
from app.usecases.examples import CALL_EXAMPLES
from app.usecases.operation import Operation, Param, Unset
from app.usecases.views import Bit, Result, Written
from app.wire import json
from app.wire.schemas import Schemas

_TEXT_FLAGS = {"0": False, "1": True, "false": False, "true": True}
# Made of what is known at run time alone.
_typed_dict: Any = TypedDict
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
}


class MalformedInputError(ValueError):
    """Members are missing, unknown or of the wrong type; `flaws` names each."""

    def __init__(self, flaws: Collection[Flaw]) -> None:
        named = InvalidInput.of(*flaws)
        super().__init__(named.detail)
        self.flaws = named.flaws


class InputForm:
    """How the input dataclass of an operation is read and described."""

    def __init__(self, input_type: type) -> None:
        self._input_type = input_type
        self.params = dict(_params(input_type))

    @cached_property
    def _read(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Made at the first call: pydantic takes half a millisecond for each of all these forms."""
        types = {param.name: param.read_as for param in self.params.values()}
        members = _typed_dict(self._input_type.__name__, types)
        members.__pydantic_config__ = ConfigDict(
            strict=True, extra="forbid", hide_input_in_errors=True
        )
        return TypeAdapter(members).validator.validate_python

    @property
    def names(self) -> list[str]:
        """The members in the order of positional parameters."""
        return list(self.params)

    def skips_null(self, name: str) -> bool:
        """Whether null in the place of this member can only mean that it was not sent."""
        param = self.params[name]
        return not (param.required or param.takes_null)

    def read(self, members: Mapping[str, Any], place: str = "body") -> Any:
        """The input from JSON values. Raises MalformedInputError."""
        if len(members) > len(self.params) + FLAWS_MAX:
            raise MalformedInputError([Flaw("", "There are far too many members.", place)])
        try:
            values = self._read(members)
        except ValidationError as error:
            raise MalformedInputError([_flaw(e, place) for e in error.errors()]) from None
        return self._input_type(**values)

    def read_text(self, members: Mapping[str, str]) -> Any:
        """The input from the texts of a query. Raises MalformedInputError."""
        values = {
            name: self.params[name].from_text(text) if name in self.params else text
            for name, text in members.items()
        }
        return self.read(values, place="query")

    def schema(self, schemas: Schemas, without: Collection[str] = ()) -> dict[str, Any]:
        """The JSON Schema of the members, but for some that travel elsewhere."""
        shown = [param for param in self.params.values() if param.name not in without]
        return {
            "type": "object",
            "description": getdoc(self._input_type),
            "properties": {param.name: param.schema(schemas) for param in shown},
            "required": [param.name for param in shown if param.required],
            "additionalProperties": False,
        }

    def example(self, without: Collection[str] = ()) -> dict[str, Any]:
        """An example of the members that are required, or of one where none is."""
        shown = [param for param in self.params.values() if param.name not in without]
        wanted = [param for param in shown if param.required] or shown[:1]
        return {param.name: param.doc.example for param in wanted}


class InputParam:
    """One member of an input."""

    def __init__(self, field: Field[Any], hint: Any) -> None:
        self.name = field.name
        self.required = field.default is MISSING
        self._type, self.doc = _plain(hint)
        self._default = None if isinstance(field.default, Unset) else field.default

    @property
    def read_as(self) -> Any:
        """The type to read, marked where the member may be left out."""
        plain = _read_as(self._type)
        return plain if self.required else NotRequired[plain]

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        """The JSON Schema of the member."""
        return self._described(self._type, schemas)

    def text_schema(self, schemas: Schemas) -> dict[str, Any]:
        """The same where the member travels as a text, which cannot be null."""
        plain = self._type
        if self.takes_null:
            (plain,) = [part for part in get_args(plain) if part is not NoneType]
        return self._described(plain, schemas)

    def _described(self, plain: Any, schemas: Schemas) -> dict[str, Any]:
        schema = schemas.of(self.doc.shown or _read_as(plain), "validation")
        schema["description"] = self.doc.description
        if self.doc.example is not None:
            schema["examples"] = [self.doc.example]
        if self.doc.choices:
            schema["enum"] = list(self.doc.choices)
        if self._default is not None and not self.required:
            schema["default"] = self._default
        bounds = {"minimum": self.doc.minimum, "maximum": self.doc.maximum}
        return {**schema, **{name: bound for name, bound in bounds.items() if bound is not None}}

    @property
    def takes_null(self) -> bool:
        """Whether null is a value of the member."""
        return NoneType in get_args(self._type)

    def from_text(self, text: str) -> Any:
        """The value a text stands for; the text itself where it stands for none."""
        if self._type is bool:
            return _TEXT_FLAGS.get(text, text)
        if self._type is int and _WHOLE_NUMBER.fullmatch(text):
            return int(text)
        return text


@cache
def input_form(input_type: type) -> InputForm:
    """The form of an operation's input."""
    return InputForm(input_type)


def call_example(operation: Operation, without: Collection[str] = ()) -> dict[str, Any]:
    """What the documents ask an operation, but for members that travel elsewhere."""
    if operation.name not in CALL_EXAMPLES:
        return input_form(operation.input).example(without)
    written = CALL_EXAMPLES[operation.name]
    return {name: value for name, value in written.items() if name not in without}


def result_type(annotation: Any) -> Any:
    """The view in what a use case returns."""
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, Result | Written):
        return get_args(annotation)[0]
    return annotation


def view_of(result: Any) -> Any:
    """The view in a use case's result."""
    return result.view if isinstance(result, Result) else result


def json_of(result: Any) -> bytes:
    """The view in a use case's result, as JSON."""
    return result.json if isinstance(result, Written) else json.dump(view_of(result))


def _params(input_type: type) -> Iterator[tuple[str, InputParam]]:
    hints = get_type_hints(input_type, include_extras=True)
    for field in fields(input_type):
        yield field.name, InputParam(field, hints[field.name])


def _plain(hint: Any) -> tuple[Any, Param]:
    """The type without UNSET and without what is said of it, and what is said of it."""
    if get_origin(hint) is Annotated:
        inner, doc = get_args(hint)
        return inner, doc
    (hint,) = [part for part in get_args(hint) if part is not Unset]
    return _plain(hint)


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is int and value in {0, 1}:
        return bool(value)
    raise PydanticCustomError("flag", "must be 0, 1, true or false")


Flag = TypeAliasType(
    "Flag", Annotated[bool, BeforeValidator(_flag, json_schema_input_type=Bit | bool)]
)


def _read_as(plain: Any) -> Any:
    return Flag if plain is bool else plain


def _flaw(error: ErrorDetails, place: str) -> Flaw:
    name, *item = error["loc"]
    sentence = _SENTENCES.get(error["type"]) or error["msg"]
    return Flaw(str(name), f"each item {sentence}" if item else sentence, place)
