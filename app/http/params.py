"""Reading the members of a request into an operation's input, and its schemas.

The types of the input dataclass are validated strictly (a string is a string; a flag is
0, 1, true or false), unknown members are refused, and UNSET marks optional members.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from dataclasses import Field as DataclassField
from functools import cache, cached_property
from inspect import getdoc
from types import NoneType
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType, TypedDict

from app.domain.errors import FIELD_ERRORS_MAX, FieldError, InvalidInput
from app.domain.text import ASCII, Pattern
from app.http import json
from app.http.json_faults import kind_of
from app.http.schemas import Schemas
from app.operations.examples import CALL_EXAMPLES
from app.operations.formats import Keywords
from app.operations.framework.operation import Operation, Param, Unset
from app.operations.views.results import RawJson, Result

_TEXT_FLAGS = {"0": False, "1": True, "false": False, "true": True}
# Called with names that are known only at run time.
_typed_dict: Any = TypedDict
_STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
_WHOLE_NUMBER = Pattern(r"-?[0-9]{1,18}", 19, ASCII)
_SENTENCES = {
    "missing": "is required",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
}


class InputSchema:
    """Validation and description of an operation's input dataclass."""

    def __init__(self, input_type: type) -> None:
        self._input_type = input_type
        self.params = dict(_params(input_type))

    @cached_property
    def _read(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """The validator, built lazily: pydantic takes half a millisecond for each."""
        return TypeAdapter(self.members(self.params)).validator.validate_python

    @property
    def names(self) -> list[str]:
        """The members in the order of positional parameters."""
        return list(self.params)

    def skips_null(self, name: str) -> bool:
        """Return whether null for this member can only mean that it was not sent."""
        param = self.params[name]
        return not (param.required or param.takes_null)

    def members(self, names: Iterable[str]) -> Any:
        """Return the type of a JSON object with these members."""
        types = {name: self.params[name].member for name in names}
        members = _typed_dict(self._input_type.__name__, types)
        members.__doc__ = getdoc(self._input_type)
        members.__pydantic_config__ = _STRICT
        return members

    def query(self, names: Iterable[str]) -> type[BaseModel]:
        """Return the model of a query with these members."""
        fields: dict[str, Any] = {name: self.params[name].query for name in names}
        return create_model(self._input_type.__name__, __config__=_STRICT, **fields)

    def read(self, members: Mapping[str, Any]) -> Any:
        """Validate JSON values and return the input. Raises InvalidInput."""
        self.refuse_far_too_many(members, "body")
        try:
            values = self._read(members)
        except ValidationError as error:
            few = error.errors()[:FIELD_ERRORS_MAX]
            field_errors = (field_error_of(e, e["loc"], "body", self.params) for e in few)
            raise InvalidInput.for_fields(*field_errors) from None
        return self._input_type(**values)

    def refuse_far_too_many(self, names: Collection[str], location: str) -> None:
        """Raise InvalidInput for more unknown members than an error names."""
        if len(names) > len(self.params) + FIELD_ERRORS_MAX:
            known = f"known: {', '.join(self.params)}" if self.params else "nothing is read here"
            error = FieldError("", f"There are far too many members; {known}.", location)
            raise InvalidInput.for_fields(error)

    def example(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Return an example with the required members, or with one if none is required."""
        shown = [param for param in self.params.values() if param.name not in without]
        wanted = [param for param in shown if param.required] or shown[:1]
        return {param.name: param.doc.example for param in wanted}


class InputParam:
    """One member of an input."""

    def __init__(self, field: DataclassField[Any], hint: Any) -> None:
        self.name = field.name
        self.required = field.default is MISSING
        self._type, self.doc = _plain(hint)
        self._default = None if isinstance(field.default, Unset) else field.default

    @property
    def described(self) -> Any:
        """The type of the member, with its description for the documents."""
        return Annotated[_read_as(self._type, self.doc), Field(**self._description)]

    @property
    def member(self) -> Any:
        """The same, marked if the member is optional."""
        return self.described if self.required else NotRequired[self.described]

    @property
    def text(self) -> Any:
        """The type of the member when sent as text, which cannot be null."""
        plain = self._type
        if self.takes_null:
            (plain,) = [part for part in get_args(plain) if part is not NoneType]
        read_as = _read_as(plain, self.doc)
        if base_type(plain) in _FROM_TEXT:
            read_as = Annotated[read_as, BeforeValidator(_FROM_TEXT[base_type(plain)])]
        return Annotated[read_as, Field(**self._description)]

    @property
    def query(self) -> tuple[Any, Any]:
        """The field of the member in a model of the query."""
        if self.required:
            return self.text, ...
        # The documents would show a default, but not a factory's.
        return self.text, Field(default_factory=lambda: None)

    @property
    def bounds(self) -> str:
        """The bounds of a number, as a sentence ends with them."""
        if not isinstance(self._type, TypeAliasType):
            return ""
        formats = get_args(self._type.__value__)[1:]
        return next((one.bounds for one in formats if isinstance(one, Keywords)), "")

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        """Return the JSON Schema of the member."""
        return schemas.of(self.described, "validation")

    @property
    def _description(self) -> dict[str, Any]:
        doc, extra = self.doc, dict[str, Any]()
        if self._default is not None and not self.required:
            default: Any = self._default
            # A flag that is documented as 0 or 1 has such a default, too.
            is_bit = isinstance(default, bool) and doc.shown is not None
            extra["default"] = int(default) if is_bit else default
        examples = None if doc.example is None else [doc.example]
        described = {"description": doc.description, "examples": examples}
        return {**described, "json_schema_extra": extra or None}

    @property
    def takes_null(self) -> bool:
        """Return whether null is a value of the member."""
        return NoneType in get_args(self._type)


@cache
def input_schema(input_type: type) -> InputSchema:
    """Return the schema of an operation's input."""
    return InputSchema(input_type)


def schema_of(input_type: type) -> dict[str, Any]:
    """Return the JSON Schema of an input dataclass."""
    form, schemas = input_schema(input_type), Schemas()
    schemas.of(form.members(form.params), "validation")
    schema: dict[str, Any] = schemas.definitions[input_type.__name__]
    return schema


def call_example(operation: Operation, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the example input of an operation, without members that are sent elsewhere."""
    if operation.name not in CALL_EXAMPLES:
        return input_schema(operation.input).example(without)
    written = CALL_EXAMPLES[operation.name]
    return {name: value for name, value in written.items() if name not in without}


def result_type(annotation: Any) -> Any:
    """Return the type of the view in the type of an operation's result."""
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, Result | RawJson):
        return get_args(annotation)[0]
    return annotation


def view_of(result: Any) -> Any:
    """Return the view of an operation's result."""
    return result.view if isinstance(result, Result) else result


def json_of(result: Any) -> bytes:
    """Return the view of an operation's result as JSON."""
    return result.json if isinstance(result, RawJson) else json.dump(view_of(result))


def _params(input_type: type) -> Iterator[tuple[str, InputParam]]:
    hints = get_type_hints(input_type, include_extras=True)
    for field in fields(input_type):
        yield field.name, InputParam(field, hints[field.name])


def _plain(hint: Any) -> tuple[Any, Param]:
    """Return the type without UNSET and its Annotated description, and the description."""
    if get_origin(hint) is Annotated:
        inner, doc = get_args(hint)
        return inner, doc
    (hint,) = [part for part in get_args(hint) if part is not Unset]
    return _plain(hint)


def base_type(annotation: Any) -> Any:
    """Return the type behind a format (`app.operations.formats`)."""
    if isinstance(annotation, TypeAliasType):
        return get_args(annotation.__value__)[0]
    return annotation


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is int and value in {0, 1}:
        return bool(value)
    raise PydanticCustomError("flag", "must be 0, 1, true or false")


def _read_as(plain: Any, doc: Param) -> Any:
    if plain is bool:
        return Annotated[bool, BeforeValidator(_flag, json_schema_input_type=doc.shown or bool)]
    if doc.shown is not None:
        return Annotated[plain, BeforeValidator(lambda it: it, json_schema_input_type=doc.shown)]
    return plain


def _flag_of_text(text: str) -> bool | str:
    return _TEXT_FLAGS.get(text, text)


def _number_of_text(text: str) -> int | str:
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else text


# An invalid text is kept, and then rejected for its type.
_FROM_TEXT: dict[Any, Callable[[str], Any]] = {bool: _flag_of_text, int: _number_of_text}


def field_error_of(
    error: Mapping[str, Any],
    loc: Sequence[int | str],
    place: str,
    params: Mapping[str, InputParam],
) -> FieldError:
    """Convert an error of pydantic into one with our sentence. `params` are those that are read."""
    name, *item = loc
    if error["type"] == "extra_forbidden":
        return FieldError.unknown(str(name), params, place)
    # The errors of our own validators have a sentence.
    sentence = _SENTENCES.get(error["type"], error["msg"])
    if error["type"] == "missing":
        return FieldError(str(name), sentence, place)
    param = params.get(str(name))
    if param is not None and error["type"] == "int_type":
        sentence += param.bounds
    if place == "body":
        is_optional = param is not None and not param.required
        sentence += _instead_of(error["type"], error["input"], is_optional=is_optional)
    return FieldError(str(name), f"each item {sentence}" if item else sentence, place)


def _instead_of(kind: str, sent: Any, *, is_optional: bool) -> str:
    """Return what was sent instead, never its value, and how to write it."""
    if sent is None and is_optional:
        return ", not null; leave it out instead"
    if kind == "string_type" and type(sent) in {int, float}:
        return ", not a number; write it in double quotes"
    if kind == "int_type" and type(sent) is float:
        return ", not a fraction"
    if kind in {"int_type", "flag"} and type(sent) is str:
        return ", not a string; write it without quotes"
    if kind == "list_type" and type(sent) is str:
        return ', not a string; write it in brackets: ["…"]'
    return f", not {kind_of(sent)}"
