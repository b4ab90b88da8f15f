"""The error tree of edgevae.

    EdgeVaeError                exit code 1   something failed while running
    +-- DeviceError                           the CUDA driver or TensorRT refused a call
    |   +-- OutOfMemoryError                  the device has not enough memory; nothing else is affected
    +-- InputError              exit code 2   an argument, file or array cannot be used as given
    |   +-- ConfigError                       a configuration has an unknown key or an invalid value
    |   +-- MediaError                        a video or image file cannot be read
    +-- ParityError             exit code 3   a graph does not agree with its reference
    +-- GateError               exit code 3   a benchmark's figure misses a gate that the user set
    +-- IncompatibleError       exit code 4   a bundle, latents file or engine is stale or made for something else
    |   +-- IntegrityError                    the bytes are not the bytes that were written
    +-- UnavailableError        exit code 5   a device, provider or optional package that is needed is not here

A message is one line: what, what came, what was expected, what to do. The command line prints it and leaves with the
exit code; any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ConfigError",
    "DeviceError",
    "EdgeVaeError",
    "GateError",
    "IncompatibleError",
    "InputError",
    "IntegrityError",
    "MediaError",
    "OutOfMemoryError",
    "ParityError",
    "UnavailableError",
]


class EdgeVaeError(Exception):
    """Something failed while running; the root of every error that edgevae raises on purpose."""

    exit_code: ClassVar[int] = 1


class DeviceError(EdgeVaeError):
    """The CUDA driver or TensorRT refused a call."""


class OutOfMemoryError(DeviceError):
    """The device, or the machine, has not enough memory; what was there before is untouched and usable."""


class InputError(EdgeVaeError):
    """An argument, file or array cannot be used as given."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration has an unknown key, a missing key or an invalid value."""


class MediaError(InputError):
    """A video or image file cannot be read."""


class ParityError(EdgeVaeError):
    """A graph does not agree with its reference within the gate."""

    exit_code = 3


class GateError(EdgeVaeError):
    """A figure of a benchmark misses a gate that the user set, or latents are not finite."""

    exit_code = 3


class IncompatibleError(EdgeVaeError):
    """A bundle, latents file or engine is stale, of another format version or made for something else."""

    exit_code = 4


class IntegrityError(IncompatibleError):
    """The bytes on disk are not the bytes that were written (sha256 differs)."""


class UnavailableError(EdgeVaeError):
    """A device, provider or optional package that is needed is not on this machine."""

    exit_code = 5
