"""Small JSON documents that say what they are: `schema` and `schema_version`, written and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from edgevae.errors import ConfigError, IncompatibleError
from edgevae.strict import from_dict, to_dict

D = TypeVar("D")


def document_bytes(result: Any) -> bytes:  # Any: a frozen dataclass
    """Return a document's bytes."""
    return (json.dumps(to_dict(result), indent=1) + "\n").encode()


def read_document(path: Path, cls: type[D], *, schema: str, version: int) -> D:
    """Return a document.

    Args:
        path: Of the file.
        cls: What it holds.
        schema: What it must say that it is.
        version: Likewise.

    Raises:
        IncompatibleError: it is none of this version.
    """
    try:
        data = json.loads(path.read_text())
        head = (data.get("schema"), data.get("schema_version")) if isinstance(data, dict) else None
        if head != (schema, version):
            raise IncompatibleError(f"{path}: no {schema} of version {version}; measure it again")
        return from_dict(cls, data, where=str(path))
    except (ValueError, ConfigError) as error:
        raise IncompatibleError(f"{path}: {error}; measure it again") from error
