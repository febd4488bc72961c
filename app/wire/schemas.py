"""JSON Schemas of what the answers show, for both documents."""

from typing import Any

from pydantic import TypeAdapter

SCHEMAS = "#/components/schemas/"


class Schemas:
    """The schemas of a document that have a name, and references to them."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, annotation: Any) -> dict[str, Any]:
        """The schema of a type; a named one by reference."""
        adapter = TypeAdapter(annotation)
        schema = adapter.json_schema(mode="serialization", ref_template=f"{SCHEMAS}{{model}}")
        self.definitions.update(_untitled(schema.pop("$defs", {})))
        if "title" in schema and schema.get("type") == "object":
            name = schema["title"]
            self.definitions[name] = _untitled(schema)
            return {"$ref": f"{SCHEMAS}{name}"}
        named = _untitled(schema)
        assert isinstance(named, dict)
        return named


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
