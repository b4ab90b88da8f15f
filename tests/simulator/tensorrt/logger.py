"""The one logger of a process: TensorRT calls the first that it was given, by a pointer that keeps nothing alive."""

from __future__ import annotations

import enum
import weakref

violations: list[str] = []
"""What real TensorRT forbids and was done all the same."""


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    INTERNAL_ERROR = Severity.INTERNAL_ERROR
    ERROR = Severity.ERROR
    WARNING = Severity.WARNING
    INFO = Severity.INFO
    VERBOSE = Severity.VERBOSE

    def __init__(self) -> None:
        pass

    def log(self, severity: Severity, message: str) -> None:
        raise NotImplementedError


class _Registered:
    """The logger that is called, as long as there is a builder or a runtime."""

    def __init__(self) -> None:
        self.logger: weakref.ref[ILogger] | None = None
        self.owners = weakref.WeakSet[object]()


_registered = _Registered()


def register(owner: object, logger: ILogger) -> None:
    """Take the logger of a builder or runtime; where there is one already, that one is called as before."""
    if not _registered.owners:
        _registered.logger = weakref.ref(logger)
    _registered.owners.add(owner)
    if get_logger() is not logger:
        say(ILogger.WARNING, "simulated: a logger that differs from the registered one is ignored")


def get_logger() -> ILogger | None:
    """Return the logger that is called, None where it was freed."""
    return None if _registered.logger is None else _registered.logger()


def say(severity: ILogger.Severity, message: str) -> None:
    """Call the logger."""
    logger = get_logger()
    if logger is None:
        violations.append(f"a logger was called that is freed: {message}")
    else:
        logger.log(severity, message)
