"""TensorRT under its two module names, and its log.

tensorrt        full TensorRT 10.3 and later; on a Jetson it comes with JetPack. Its builder needs a GPU
tensorrt_rtx    TensorRT for RTX; the same Python API with less in it. Its builder needs no GPU
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import logging
import re
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

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

_NO_MEMORY = re.compile(
    r"out[ _]?of[ _]?memory|cudaErrorMemoryAllocation|enough free memory", re.IGNORECASE
)
"""`Error Code 2: OutOfMemory (Requested size was ...)`, `CUDA_ERROR_OUT_OF_MEMORY`, `cuda failure: out of memory`, ...

Not `insufficient memory on requested size of`: so a tactic is passed over, for another that needs less."""

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
    def numbers(self) -> tuple[int, ...]:
        """Major and minor version; empty where unknown."""
        return _numbers(self.version)

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT for RTX, which lacks timing caches and compatible engines."""
        return self.name == "tensorrt_rtx"

    def has_target(self, compute_capability: str) -> bool:
        """Return whether it can build for GPUs of a compute capability, such as `8.9`, alone; RTX only."""
        targets = getattr(self.module, "ComputeCapability", None)
        return self.is_rtx and hasattr(targets, "SM" + compute_capability.replace(".", ""))


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
    """What TensorRT says: its errors and warnings go to the log `edgevae.tensorrt`, and the errors of a call are kept.

    A thread sees the errors of its own calls, and those of TensorRT's own threads, which could be anybody's. Safe to
    use from several threads at once.

    Args:
        flavour: Whose log it is.
    """

    def __init__(self, flavour: Flavour) -> None:
        self._ear = _ear(flavour.module)
        self._opened = next(self._ear.numbers)
        self._cleared = threading.local()
        self.logger = self._ear.logger
        """An `ILogger`: the one that all logs of this TensorRT share."""

    def clear(self) -> None:
        """Forget what came before, for this thread; call it before a call whose error is to be told."""
        self._cleared.at = next(self._ear.numbers)

    @property
    def errors(self) -> tuple[str, ...]:
        """Errors since this thread called `clear`, else since the log was opened: a line each, the last one last."""
        since = getattr(self._cleared, "at", self._opened)
        mine = (None, threading.get_ident())
        return tuple(
            e.text for e in tuple(self._ear.errors) if e.number > since and e.thread in mine
        )

    @property
    def last(self) -> str:
        """The last of the errors, in one line."""
        errors = self.errors
        return errors[-1] if errors else "no reason given"


def is_short_of_memory(text: str) -> bool:
    """Return whether an error of TensorRT says that the device's memory is not enough."""
    return _NO_MEMORY.search(text) is not None


class _Error(NamedTuple):
    number: int
    """Larger than that of what came before."""
    thread: int | None
    """The Python thread that it came in; None for TensorRT's own threads."""
    text: str


class _Ear:
    """The one logger of a TensorRT, and its latest errors."""

    def __init__(
        self, trt: Any
    ) -> None:  # Any: the module, and below an object of a class made here
        self.errors: deque[_Error] = deque(maxlen=256)
        self.numbers = itertools.count(1)
        """Gives errors and calls of `Log.clear` their order."""
        kinds = (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)
        is_ending = sys.is_finalizing

        def start(logger: object) -> None:
            trt.ILogger.__init__(logger)

        def note(_: object, severity: object, message: str) -> None:
            if is_ending():
                return  # engines that nobody closed; Python's modules are half gone
            text = _one_line(message)
            if severity in kinds:
                self.errors.append(_Error(next(self.numbers), _python_thread(), text))
                _logger.debug("error: %s", text)
            elif severity == trt.ILogger.WARNING:
                _logger.debug("warning: %s", text)

        # The base class is known only once TensorRT is imported, which this module must not do by itself.
        self.logger: Any = type("Logger", (trt.ILogger,), {"__init__": start, "log": note})()
        # TensorRT may call it until the process ends, when Python has cleared this module already.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.logger))


_ears: dict[Any, _Ear] = {}  # Any: a module's ILogger class
_opening = threading.Lock()


def _ear(trt: Any) -> _Ear:
    """Return the logger of a module, the same one always, which is never freed.

    TensorRT calls the first logger that it was given for as long as it has a builder or a runtime at all, whoever made
    these (`nvinfer1::getLogger`); the bindings keep a logger only as long as the object that it was given to. Where a
    program of its own has given one before us, TensorRT's reasons go there, and ours is not called.
    """
    with _opening:
        if trt.ILogger not in _ears:
            _ears[trt.ILogger] = _Ear(trt)
        return _ears[trt.ILogger]


def _python_thread() -> int | None:
    """Return the calling thread where Python started it, None for a thread of TensorRT's own."""
    own = threading.get_ident()
    return own if any(thread.ident == own for thread in threading.enumerate()) else None


def _require_version(name: str, version: str) -> None:
    if _numbers(version) < OLDEST[name]:
        least = ".".join(map(str, OLDEST[name]))
        raise UnavailableError(
            f"{name}: version {version}, expected {least} or later; {_INSTALL[name]}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])


def _one_line(text: str) -> str:
    return " ".join(text.split())
