"""JSON Schema of the result, written from its dataclasses: `python -m edgevae_bench.json_schema [--check]`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import sys
import textwrap
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgevae.files import write_atomically
from edgevae_bench.result import SCHEMA, SCHEMA_VERSION, Result

TARGET = Path(__file__).parent / "benchmark.schema.json"

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema() -> dict[str, Any]:  # Any: JSON
    """Return the JSON Schema (draft 2020-12) of a result document."""
    definitions: dict[str, Any] = {}  # Any: JSON
    root = _of(Result, definitions)
    properties = definitions["Result"]["properties"]
    properties["schema"]["const"] = SCHEMA
    properties["schema_version"]["const"] = SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{SCHEMA} {SCHEMA_VERSION}",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def to_text() -> str:
    """Return the schema as it stands in the file."""
    return json.dumps(schema(), indent=1) + "\n"


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # Any: typing constructs; JSON
    """Return the schema of a type, adding those of the dataclasses that it names."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(arg, definitions) for arg in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(args[1], definitions)}
    if origin is tuple and args[1:] == (Ellipsis,):
        return {"type": "array", "items": _of(args[0], definitions)}
    if origin is tuple:
        items = [_of(arg, definitions) for arg in args]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type), "a hint is a class"
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}  # stops a class that holds itself
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    return {"type": _PLAIN[hint]}


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    hints, told = get_type_hints(cls), _descriptions(cls)
    properties = {}
    for field in dataclasses.fields(cls):
        properties[field.name] = {
            **_of(hints[field.name], definitions),
            "description": told[field.name],
        }
    return {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").split()),
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _descriptions(cls: type) -> dict[str, str]:
    """Return the line under each field of a dataclass."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    told: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            told[before.target.id] = " ".join(str(after.value.value).split())
    return told


def main() -> None:
    """Write the file, or leave with 1 where it differs and `--check` is given."""
    text = to_text()
    if "--check" in sys.argv[1:]:
        current = TARGET.is_file() and TARGET.read_text() == text
        sys.exit(0 if current else f"{TARGET.name} is stale: run `make docs`")
    write_atomically(TARGET, text.encode())


if __name__ == "__main__":
    main()
