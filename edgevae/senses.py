"""What the senses of a model are: of what kind, how large a window is, and how clips become windows.

A window is what one call takes of each sense, all of the same stretch of time, and becomes one latent step:

    video    |f f f f f f f f|f f f f f f f f|     uint8 [T, H, W, 3]
    sound    |ssssssssssssssss|ssssssssssssss|     dB [channels, S, bands], S windows of log-mel steps
    tracks   |p p p p p p p p|p p p p p p p p|     [T, points, 2]
    latents  |       z       |       z       |     [t, C, 1, 1]
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevae.errors import ConfigError, InputError
from edgevae.mel import MelConfig
from edgevae.motion_tracks import BLOCKS
from edgevae.roles import Role, SenseKind, sense_of
from edgevae.spec import TensorSpec

Array = npt.NDArray[np.generic]

MISSING_LOG_VARIANCE = 40.0
"""Of a sense that is not there: its precision, exp(-40), is nothing beside the prior's 1."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("frames", "latents", "noise", "posterior", "posteriors", "decoded", "fusion")
"""Names of other tensors among the golden vectors, which those of a sense would be taken for."""
MOST_VALUES = 2**26
"""Of one window: what a manifest says cannot ask for more memory than that, a window."""
LEAST_FPS, MOST_FPS = 0.01, 1000.0
"""Frames a second: what a file can be written with, and whose frames fit into memory."""

_SHAPES: dict[SenseKind, str] = {
    "frames": "(frames, height, width)",
    "sound": "(channels, steps, bands)",
    "tracks": "(frames, points)",
}


@dataclass(frozen=True, kw_only=True)
class Sense:
    """One sense of a model."""

    name: str
    """What it is called, such as `video`."""
    kind: SenseKind
    """What it is of."""
    shape: tuple[int, ...]
    """Of one window: frames (frames, height, width); sound (channels, steps, bands); tracks (frames, points)."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            raise ConfigError(
                f"sense: name {self.name!r}, expected small letters, digits and _, and none of {', '.join(_TAKEN)}"
            )
        wanted = _SHAPES[self.kind].count(",") + 1
        if len(self.shape) != wanted or min(self.shape) < 1:
            raise ConfigError(
                f"sense {self.name!r}: shape {list(self.shape)}, expected {_SHAPES[self.kind]}, each at least 1"
            )
        if math.prod(self.clip_shape) > MOST_VALUES:
            raise ConfigError(
                f"sense {self.name!r}: shape {list(self.shape)}, expected at most {MOST_VALUES} values a window"
            )

    @property
    def tensor(self) -> TensorSpec:
        """The tensor of its encoder's input and its decoder's output."""
        first, *rest = self.shape
        if self.kind == "frames":
            shape: tuple[int | str, ...] = (f"{first}*batch" if first > 1 else "batch", *rest, 3)
        else:
            shape = ("batch", *self.shape, *([2] if self.kind == "tracks" else []))
        dtype = "uint8" if self.kind == "frames" else "float32"
        return TensorSpec(name=self.kind, dtype=dtype, shape=shape)  # type: ignore[arg-type]  # one of its dtypes

    @property
    def time_axis(self) -> int:
        """The axis of `clip_shape` that is time."""
        return 1 if self.kind == "sound" else 0

    @property
    def clip_shape(self) -> tuple[int, ...]:
        """Of one window as callers have it, with the axis of time that grows from window to window."""
        return (
            self.shape if self.kind == "sound" else (*self.shape, 3 if self.kind == "frames" else 2)
        )

    def windows(self, clip: object) -> Array:
        """Return a clip as the tensor of its encoder: the windows one after the other.

        Args:
            clip: frames uint8 `[n*T, H, W, 3]`, sound float `[channels, n*S, bands]`, tracks float `[n*T, points, 2]`.

        Raises:
            InputError: another type, dtype or shape, no whole windows, or a value that is not finite.
        """
        axis, own = self.time_axis, self.clip_shape
        if not isinstance(clip, np.ndarray):
            raise InputError(f"{self.name}: got {type(clip).__name__}, expected a numpy array")
        right = clip.dtype == np.uint8 if self.kind == "frames" else clip.dtype.kind == "f"
        sides = tuple(n for i, n in enumerate(clip.shape) if i != axis)
        fits = clip.ndim == len(own) and sides == tuple(n for i, n in enumerate(own) if i != axis)
        if not (right and fits) or not clip.shape[axis] or clip.shape[axis] % own[axis]:
            many = [f"n*{n}" if i == axis else str(n) for i, n in enumerate(own)]
            raise InputError(
                f"{self.name}: got {clip.dtype} {list(clip.shape)}, expected "
                f"{'uint8' if self.kind == 'frames' else 'float32'} [{', '.join(many)}], whole windows"
            )
        if self.kind == "frames":
            return np.ascontiguousarray(clip)
        with np.errstate(over="ignore"):
            values = clip.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise InputError(f"{self.name}: some values are NaN or infinite, expected finite ones")
        count = clip.shape[axis] // own[axis]
        return np.ascontiguousarray(np.stack(np.split(values, count, axis=axis)))

    def clip(self, windows: Array) -> Array:
        """Return the clip of windows, as `windows` takes it."""
        if self.kind == "frames":
            return windows
        return np.concatenate(list(windows), axis=self.time_axis)

    def count(self, windows: Array) -> int:
        """Return how many windows there are in a tensor of `windows`."""
        return len(windows) // self.shape[0] if self.kind == "frames" else len(windows)


@dataclass(frozen=True, kw_only=True)
class SensesSpec:
    """All senses of a model, and how fast their time goes: what a bundle's manifest has as `senses`."""

    senses: tuple[Sense, ...]
    """In the order of the fusion."""
    frames_per_second: float
    """Of frames and tracks, 0.01 to 1000."""
    window_frames: int
    """Of a window, whether or not there is a sense of frames."""
    sound: MelConfig | None = None
    """How its sound became log-mel frames; None for a model that does not hear."""
    tracks: Literal["places", "motion"] = "places"
    """What its tracks are: places of things, given; or the motion of blocks of its frames (`edgevae.motion_tracks`)."""

    def __post_init__(self) -> None:
        names = [s.name for s in self.senses]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"senses: got {names}, expected names, each of them once")
        if not LEAST_FPS <= self.frames_per_second <= MOST_FPS or self.window_frames < 1:
            raise ConfigError(
                f"senses: got {self.frames_per_second:g} frames a second and {self.window_frames} a window, expected "
                f"{LEAST_FPS:g} to {MOST_FPS:g} and at least 1"
            )
        for sense in self.senses:
            self._check(sense)

    def _check(self, sense: Sense) -> None:
        if sense.kind != "sound":
            if sense.shape[0] != self.window_frames:
                raise ConfigError(
                    f"sense {sense.name!r}: {sense.shape[0]} frames, expected {self.window_frames} of the window"
                )
            if sense.kind == "tracks" and self.tracks == "motion":
                self._check_motion(sense)
            return
        if self.sound is None or self.sound.bands != sense.shape[2]:
            raise ConfigError(
                f"sense {sense.name!r}: {sense.shape[2]} bands, expected those of `sound`"
            )
        seconds = self.window_frames / self.frames_per_second
        if abs(sense.shape[1] / self.sound.frames_per_second - seconds) > 1e-6:
            raise ConfigError(
                f"sense {sense.name!r}: {sense.shape[1]} steps, expected the {seconds:g} s of the window"
            )

    def _check_motion(self, sense: Sense) -> None:
        if sense.shape[1] != BLOCKS**2 or min(self.motion_px) < 2 * BLOCKS:
            height, width = self.motion_px
            raise ConfigError(
                f"sense {sense.name!r}: {sense.shape[1]} points in frames of {height} x {width}, "
                f"expected the motion of {BLOCKS**2} blocks of at least 2 x 2 pixels"
            )

    @property
    def motion_px(self) -> tuple[int, int]:
        """Height and width of the frames whose motion the tracks are: those of the first sense of frames, else 64."""
        for sense in self.senses:
            if sense.kind == "frames":
                return sense.shape[1], sense.shape[2]
        return 64, 64

    @property
    def names(self) -> tuple[str, ...]:
        """Of the senses."""
        return tuple(s.name for s in self.senses)

    def tensors(self, role: Role, *, channels: int) -> tuple[TensorSpec, TensorSpec] | None:
        """Return what the graph of a role takes and gives; None for a role that such a model has not.

        Args:
            role: `fusion`, or an encoder or decoder of one of the senses.
            channels: C of the latents.
        """
        known = {s.name: s.tensor for s in self.senses}
        own = known.get(sense_of(role) or "")
        if role == "fusion":
            every = _vector("posteriors", 2 * len(known) * channels)
            return every, _vector("posterior", 2 * channels)
        if own is None:
            return None
        if role.startswith("encoder"):
            return own, _vector("posterior", 2 * channels)
        return _vector("latents", channels), own

    def sense(self, name: str) -> Sense:
        """Return a sense.

        Raises:
            InputError: there is none of this name.
        """
        for sense in self.senses:
            if sense.name == name:
                return sense
        raise InputError(f"sense: got {name!r}, expected one of {', '.join(self.names)}")


def _vector(name: str, channels: int) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=("batch", channels, 1, 1))
