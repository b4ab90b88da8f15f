"""Frozen dataclasses to and from JSON-like dictionaries, refusing what they do not know."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edgevae.errors import ConfigError

T = TypeVar("T")


def from_dict(cls: type[T], data: object, *, where: str) -> T:
    """Return `cls` built from `data`, checking every key and every type.

    Args:
        cls: A dataclass; its fields may be str, int, float, bool, Literal, a dataclass, `X | None`, `tuple[X, ...]`,
            `tuple[X, Y]` or `dict[str, X]`.
        data: What a JSON parser returned.
        where: What the data is, for the message: a path, or a path and a key.

    Raises:
        ConfigError: a key is unknown or missing, or a value has another type than its field.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: got {_show(data)}, expected an object with keys")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass by contract
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r}; expected one of {', '.join(fields)}; remove or rename it"
        )
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in data]
    if missing:
        raise ConfigError(f"{where}: key {missing[0]!r} is missing; add it")
    return cls(
        **{
            name: _value(hints[name], value, where=f"{where}: {name}")
            for name, value in data.items()
        }
    )


def to_dict(value: object) -> Any:  # Any: the shape follows the dataclass
    """Return a dataclass as JSON-like dictionaries and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_dict(item) for item in value]
    return value


def _value(
    hint: Any, value: object, *, where: str
) -> object:  # Any: typing constructs have no common type
    """Return `value` as the annotated type `hint`, or raise."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(args, value, where=where)
    if origin is Literal:
        if value in args and type(value) in {type(a) for a in args}:
            return value
        raise ConfigError(
            f"{where}: got {_show(value)}, expected one of {', '.join(map(repr, args))}"
        )
    if origin is tuple:
        return _tuple(args, value, where=where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: got {_show(value)}, expected an object with keys")
        return {
            str(key): _value(args[1], item, where=f"{where}.{key}") for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where=where)  # type: ignore[arg-type]  # is_dataclass narrows to type | instance
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where}: got {_show(value)}, expected {hint.__name__}")


def _union(options: tuple[Any, ...], value: object, *, where: str) -> object:  # Any: as in _value
    if value is None and type(None) in options:
        return None
    first: ConfigError | None = None
    for option in options:
        if option is type(None):
            continue
        try:
            return _value(option, value, where=where)
        except ConfigError as error:
            first = first or error
    assert first is not None, "a union has at least one member that is not None"
    raise first


def _tuple(
    args: tuple[Any, ...], value: object, *, where: str
) -> tuple[object, ...]:  # Any: as in _value
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: got {_show(value)}, expected a list")
    hints = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(hints) != len(value):
        raise ConfigError(f"{where}: got {len(value)} values, expected {len(hints)}")
    return tuple(
        _value(h, v, where=f"{where}[{i}]")
        for i, (h, v) in enumerate(zip(hints, value, strict=True))
    )


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
