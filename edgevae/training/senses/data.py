"""Windows to train on, of whatever the data is: all senses of the same stretch of time, held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgevae.errors import InputError
from edgevae.made_world import FRAMES_PER_SECOND, SIDE_PX, SOUND, MadeWorld
from edgevae.senses import Array, Sense, SensesSpec
from edgevae.training.senses.config import MADE_WORLD, SensesTraining

VALIDATION_SEED = 777
"""Of the made world's clips that are not trained on."""


@dataclass(frozen=True)
class Windows:
    """Windows of all senses, by index."""

    spec: SensesSpec
    """The senses."""
    arrays: Mapping[str, Array]
    """By the sense's name: `[N, ...]`, a window each, with the frames of one in front of the others' axes."""

    def __len__(self) -> int:
        return len(self.arrays[self.spec.names[0]])

    def take(self, indices: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        """Return windows as tensors of `Sense.tensor`."""
        return {s.name: _folded(s, self.arrays[s.name][indices]) for s in self.spec.senses}

    def draw(self, count: int, *, seed: int, step: int) -> dict[str, Tensor]:
        """Return the windows of a step: each pass over all of them is in an order of its own."""
        first = step * count
        picked = [self._at(seed, first + i) for i in range(count)]
        return self.take(np.array(picked, np.int64))

    def _at(self, seed: int, position: int) -> int:
        lap, place = divmod(position, len(self))
        return int(np.random.default_rng([seed, lap]).permutation(len(self))[place])


def _folded(sense: Sense, windows: Array) -> Tensor:
    if sense.kind == "frames":
        windows = windows.reshape(-1, *windows.shape[2:])
    return torch.from_numpy(np.ascontiguousarray(windows))


def sources(config: SensesTraining) -> tuple[Windows, Windows]:
    """Return training and validation windows.

    Raises:
        InputError: as `windows_of_folder`, or the made world at another size or pace than its own.
    """
    if config.data == MADE_WORLD:
        return _made(config)
    from edgevae.video.held_out import HoldOut
    from edgevae.video.scenes import Cutting, windows_of_folder

    cutting = Cutting(
        side_px=config.side_px,
        window_frames=config.window_frames,
        frames_per_second=config.frames_per_second,
        held_out=HoldOut(share=config.held_out, piece_s=config.piece_s),
    )
    found = windows_of_folder(Path(config.data), cutting)
    count = len(found.held_out_clips)
    kept = np.linspace(0, count - 1, min(count, config.val_windows)).astype(int)
    validation = {name: windows[kept] for name, windows in found.held_out.items()}
    return Windows(found.spec, found.training), Windows(found.spec, validation)


def made_spec(frames: int) -> SensesSpec:
    """Return the senses of the made world."""
    steps = round(frames / FRAMES_PER_SECOND * SOUND.frames_per_second)
    return SensesSpec(
        senses=(
            Sense(name="video", kind="frames", shape=(frames, SIDE_PX, SIDE_PX)),
            Sense(name="sound", kind="sound", shape=(2, steps, SOUND.bands)),
            Sense(name="tracks", kind="tracks", shape=(frames, 1)),
        ),
        frames_per_second=FRAMES_PER_SECOND,
        window_frames=frames,
        sound=SOUND,
    )


def _made(config: SensesTraining) -> tuple[Windows, Windows]:
    if (config.side_px, config.frames_per_second) != (SIDE_PX, FRAMES_PER_SECOND):
        raise InputError(
            f"{MADE_WORLD}: got {config.side_px} px and {config.frames_per_second:g} frames a second, expected "
            f"{SIDE_PX} and {FRAMES_PER_SECOND:g}"
        )
    if config.piece_s:
        raise InputError(
            f"piece_s: got {config.piece_s:g} for {MADE_WORLD}, whose validation clips are others; leave it out"
        )
    spec = made_spec(config.window_frames)
    training = MadeWorld(config.seed, frames=config.window_frames)
    validation = MadeWorld(VALIDATION_SEED, frames=config.window_frames)
    return (
        Windows(spec, training.batch(0, config.made_windows)),
        Windows(spec, validation.batch(0, config.val_windows)),
    )
