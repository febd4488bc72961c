"""JSON Schemas of what is sent and shown, for both documents."""

from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

SCHEMAS = "#/components/schemas/"
_Mode = Literal["validation", "serialization"]


class Schemas:
    """The schemas of a document that have a name, and references to them."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, annotation: Any, mode: _Mode = "serialization") -> dict[str, Any]:
        """The schema of a type; of one that has a name, a reference."""
        schema, definitions = _schema(annotation, mode)
        self.definitions.update(definitions)
        return {**schema}

    def named(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """A reference to `schema`, which gets this name."""
        self.definitions[name] = schema
        return reference(name)


class _Named(GenerateJsonSchema):
    """A view's suffix tells it from the domain's entity; no document shows the entity."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix("View")


def reference(name: str) -> dict[str, Any]:
    """A reference to the schema of this name."""
    return {"$ref": f"{SCHEMAS}{name}"}


@cache
def _schema(annotation: Any, mode: _Mode) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a type, and those that it refers to."""
    schemas, whole = TypeAdapter.json_schemas(
        [("it", mode, TypeAdapter(annotation))],
        ref_template=f"{SCHEMAS}{{model}}",
        schema_generator=_Named,
    )
    return _untitled(schemas["it", mode]), _untitled(whole.get("$defs", {}))


def _untitled(schema: Any) -> Any:
    """Without the titles that only repeat the names."""
    match schema:
        case dict():
            return {
                name: _untitled(part)
                for name, part in schema.items()
                if name != "title" or not isinstance(part, str)
            }
        case list():
            return [_untitled(part) for part in schema]
    return schema
