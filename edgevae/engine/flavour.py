"""TensorRT under its two module names, and its log.

tensorrt        full TensorRT 10.3 and later; on a Jetson it comes with JetPack. Its builder needs a GPU
tensorrt_rtx    TensorRT for RTX; the same Python API with less in it. Its builder needs no GPU
"""

from __future__ import annotations

import importlib
import logging
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

from edgevae.errors import InputError, UnavailableError

FLAVOURS = ("tensorrt", "tensorrt_rtx")
"""Modules that engines can be built with, the first choice first."""

OLDEST = {"tensorrt": (10, 3), "tensorrt_rtx": (1, 2)}
"""Releases from which on our calls are there: that of JetPack 6.1, and the first whose engines can be captured."""

_INSTALL = {
    "tensorrt": "install it with `pip install 'edgevae[tensorrt]'`; on a Jetson it comes with JetPack, so make the "
    "venv with --system-site-packages",
    "tensorrt_rtx": "install it with `pip install 'edgevae[tensorrt-rtx]'`",
}

_logger = logging.getLogger("edgevae.tensorrt")


@dataclass(frozen=True)
class Flavour:
    """A TensorRT that is imported."""

    name: str
    """`tensorrt` or `tensorrt_rtx`."""
    version: str
    """Its own version, as in `10.3.0`."""
    module: Any  # Any: TensorRT's bindings have no types that hold for every version
    """The module."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT for RTX, which lacks timing caches and compatible engines."""
        return self.name == "tensorrt_rtx"


def open_flavour(name: str) -> Flavour:
    """Return TensorRT under one of its names.

    Args:
        name: `tensorrt` or `tensorrt_rtx`.

    Raises:
        InputError: the name is another.
        UnavailableError: it is not installed, its libraries do not load, or it is too old.
    """
    if name not in FLAVOURS:
        raise InputError(f"TensorRT: got {name!r}, expected one of {', '.join(FLAVOURS)}")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise UnavailableError(f"{name}: not installed; {_INSTALL[name]}") from error
        raise UnavailableError(
            f"{name}: installed, but its part {error.name} is not; {_INSTALL[name]}"
        ) from error
    except (ImportError, OSError) as error:
        raise UnavailableError(
            f"{name}: installed, but its libraries do not load ({_one_line(str(error))}); install the libraries of "
            "the same version (tensorrt_cu12_libs or tensorrt_cu13_libs), or put their folder on LD_LIBRARY_PATH"
        ) from error
    version = str(getattr(module, "__version__", "unknown"))
    _require_version(name, version)
    return Flavour(name, version, module)


class Log:
    """What TensorRT says: its errors and warnings go to the log `edgevae.tensorrt`, and its latest errors are kept.

    Args:
        flavour: Whose log it is.
    """

    def __init__(self, flavour: Flavour) -> None:
        self.errors: deque[str] = deque(maxlen=16)
        """The latest errors, each in one line, the last one last."""
        self.logger = self._make(flavour.module)
        """An `ILogger`; the object that it was given to does not keep it alive, this one does."""

    @property
    def last(self) -> str:
        """The last error, in one line."""
        return self.errors[-1] if self.errors else "no reason given"

    def _make(self, trt: Any) -> Any:  # Any: the module, and an object of a class that is made here
        log, errors = self, (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)

        def start(logger: object) -> None:
            trt.ILogger.__init__(logger)

        def note(_: object, severity: object, message: str) -> None:
            text = _one_line(message)
            if severity in errors:
                log.errors.append(text)
                _logger.debug("error: %s", text)
            elif severity == trt.ILogger.WARNING:
                _logger.debug("warning: %s", text)

        # The base class is known only once TensorRT is imported, which this module must not do by itself.
        return type("Logger", (trt.ILogger,), {"__init__": start, "log": note})()


def _require_version(name: str, version: str) -> None:
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST[name]:
        least = ".".join(map(str, OLDEST[name]))
        raise UnavailableError(
            f"{name}: version {version}, expected {least} or later; {_INSTALL[name]}"
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())
