"""Recipes: the configuration of a run in a JSON file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypeVar

from edgevae.errors import ConfigError, InputError
from edgevae.strict import from_dict

C = TypeVar("C")


def read_recipe(path: str | os.PathLike[str], kind: type[C]) -> C:
    """Return the configuration in a file; what the file does not name has its default.

    Args:
        path: A recipe, or the `train.json` of a run.
        kind: The dataclass that it is of.

    Raises:
        InputError: there is no such file, or it cannot be read.
        ConfigError: it is not JSON, or has an unknown key, a wrong type or an invalid value.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected a train.json or a recipe")
    try:
        data = json.loads(file.read_text())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise ConfigError(f"{file}: not JSON ({error}); write it again") from error
    _check_model(data, kind, file)
    return from_dict(kind, data, where=str(file))


def _check_model(data: object, kind: type[object], file: Path) -> None:
    """Refuse a recipe of another model by its name, before its keys are looked at."""
    found = data.get("model") if isinstance(data, dict) else None
    # A VAE's recipe has its network there, or nothing.
    wanted = getattr(kind, "model", None) or "vae"
    if isinstance(found, str) and found != wanted:
        raise ConfigError(
            f"{file}: is a recipe of a {found}, expected one of a {wanted}; give --model {found}"
        )
