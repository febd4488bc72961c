"""JSON Schemas of inputs and results, for both documents."""

from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

SCHEMAS = "#/components/schemas/"
_Mode = Literal["validation", "serialization"]


class Schemas:
    """The named schemas of a document."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, annotation: Any, mode: _Mode = "serialization") -> dict[str, Any]:
        """Return the schema of a type, or a reference to it if the type has a name."""
        schema, definitions = _schema(annotation, mode)
        self.definitions.update(definitions)
        return {**schema}

    def named(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Add a named schema, and return a reference to it."""
        self.definitions[name] = schema
        return reference(name)


def reference(name: str) -> dict[str, Any]:
    """Return a reference to the schema with this name."""
    return {"$ref": f"{SCHEMAS}{name}"}


def plain_name(name: str) -> str:
    """Remove the suffix that distinguishes a view from its entity; the documents omit it."""
    return name.removesuffix("View")


def plain(schema: Any) -> Any:
    """Remove titles, which only repeat names, and use plain names in references."""
    match schema:
        case {"$ref": str(pointer), **others}:
            return {"$ref": plain_name(pointer), **plain(others)}
        case dict():
            return {
                name: plain(part)
                for name, part in schema.items()
                if name != "title" or not isinstance(part, str)
            }
        case list():
            return [plain(part) for part in schema]
    return schema


@cache
def _schema(annotation: Any, mode: _Mode) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a type, and the named schemas it refers to."""
    schemas, whole = TypeAdapter.json_schemas(
        [("it", mode, TypeAdapter(annotation))], ref_template=f"{SCHEMAS}{{model}}"
    )
    definitions = whole.get("$defs", {})
    return plain(schemas["it", mode]), {plain_name(n): plain(it) for n, it in definitions.items()}
