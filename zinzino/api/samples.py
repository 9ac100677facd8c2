"""Example values made from a JSON schema, for the operations whose author gave none."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXTS = {
    "uuid": "3f0c6a52-8a0e-4d56-9f0b-6a4b5f1f2c11",
    "date-time": "2025-12-05T10:00:00.123Z",
    "date": "2025-12-05",
    "time": "08:00",
    "email": "ayse@example.com",
    "uri": "https://example.com/picture.jpg",
    "binary": "(file)",
}

# What stands in a text cannot be guessed from its type, and some must match a pattern.
NAMES = {
    "device_name": "Kitchen",
    "dose_amount": "5ml",
    "firmware_version": "1.2.3",
    "full_name": "Ayşe Yılmaz",
    "mac_address": "AA:BB:CC:DD:EE:FF",
    "password": "correct-horse-1",
    "phone": "+905551234567",
    "serial_number": "ZNZ-2025-000123",
    "timezone": "Europe/Istanbul",
}


def sample(schema: Schema, components: Schema, *, skip: str) -> Any:
    """A value that fits `schema`. `skip` is the direction left out: `readOnly` or `writeOnly`."""
    schema = resolved(schema, components)
    for given in ("example", "const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    if "enum" in schema:
        return schema["enum"][0]
    if "examples" in schema:
        return schema["examples"][0]
    match kind_of(schema):
        case "object":
            return members(schema, components, skip=skip)
        case "array":
            return [sample(schema.get("items", {}), components, skip=skip)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            return text(schema)
    return None


def resolved(schema: Schema, components: Schema) -> Schema:
    """References followed, `allOf` merged, of alternatives the first that is not null."""
    if "$ref" in schema:
        return resolved(components[schema["$ref"].rpartition("/")[2]], components)
    if "allOf" in schema:
        parts = [resolved(part, components) for part in schema["allOf"]]
        return {name: value for part in [*parts, schema] for name, value in part.items() if name != "allOf"}
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return next((resolved(each, components) for each in schema[key] if each.get("type") != "null"), {})
    return schema


def kind_of(schema: Schema) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "")
    return str(next((each for each in kind if each != "null"), "")) if isinstance(kind, list) else str(kind)


def members(schema: Schema, components: Schema, *, skip: str) -> dict[str, Any]:
    return {
        name: NAMES.get(name) or sample(inner, components, skip=skip)
        for name, inner in schema.get("properties", {}).items()
        if not inner.get(skip)
    }


def text(schema: Schema) -> str:
    known = TEXTS.get(schema.get("format", ""), "text")
    return known.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
