"""Windows of all senses to measure on, and those whose mean is the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError
from edgevae.made_world import MadeWorld
from edgevae.senses import Array, SensesSpec

MADE_WORLD = "made-world"
TRAINING_SEED, TEST_SEED = 0, 20_260_101
"""Of the made world's clips: those of a run by default, and those that no run sees."""

Clips = Mapping[str, Array]
"""By the sense's name: windows `[N, ...]`."""
Factors = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """What is measured on."""

    name: str
    """Of the data."""
    test: Clips
    """Windows that no training saw."""
    training: Clips
    """Windows of the training data."""
    test_factors: Factors | None = None
    """What is true of the test windows, where that is known."""
    training_factors: Factors | None = None
    """Likewise of the others."""
    clips: npt.NDArray[np.int64] | None = None
    """Which clip each test window is of, `[N]`; None where each is a clip of its own."""
    held_out: str = ""
    """What of the clips of a folder the test windows are."""


def load(
    spec: SensesSpec,
    data: str,
    *,
    windows: int,
    training_windows: int,
    held_out: float,
    piece_s: float = 0.0,
) -> Measured:
    """Return what a model is measured on.

    Args:
        spec: Of the model's senses.
        data: `made-world`, or a folder as `edgevae train --model multimodal` takes it.
        windows: To measure, at most.
        training_windows: For the baselines, at most.
        held_out: Share of a folder's clips that the run held out.
        piece_s: 0 for their ends, else the length of the pieces whose middles are held out.

    Raises:
        InputError: the data has other senses than the model, or there is nothing to cut into pieces.
    """
    if data == MADE_WORLD:
        if piece_s:
            raise InputError(
                f"piece seconds: got {piece_s:g} for {MADE_WORLD}, whose test clips are others; leave it out"
            )
        test = MadeWorld(TEST_SEED, frames=spec.window_frames)
        training = MadeWorld(TRAINING_SEED, frames=spec.window_frames)
        return Measured(
            MADE_WORLD,
            _checked(spec, test.batch(0, windows), data),
            training.batch(0, training_windows),
            test.factors(0, windows),
            training.factors(0, training_windows),
        )
    from edgevae.video.held_out import HoldOut
    from edgevae.video.scenes import Cutting, windows_of_folder

    cutting = Cutting(
        side_px=spec.motion_px[0],
        window_frames=spec.window_frames,
        frames_per_second=spec.frames_per_second,
        held_out=HoldOut(share=held_out, piece_s=piece_s),
    )
    found = windows_of_folder(Path(data), cutting)
    return Measured(
        Path(data).name,
        _spread(_checked(spec, found.held_out, data), windows),
        _spread(found.training, training_windows),
        clips=_spread({"clips": found.held_out_clips}, windows)["clips"].astype(np.int64),
        held_out=str(cutting.held_out),
    )


def _checked(spec: SensesSpec, clips: Clips, data: str) -> Clips:
    for sense in spec.senses:
        axes = 3 if sense.kind == "frames" else 2
        if sense.name not in clips or clips[sense.name].shape[1 : 1 + axes] != sense.shape[:axes]:
            raise InputError(
                f"{data}: has {', '.join(clips)}, expected the model's senses {', '.join(spec.names)}"
            )
    return clips


def _spread(clips: Clips, most: int) -> Clips:
    """Return at most so many windows, evenly from the first to the last."""
    count = len(next(iter(clips.values())))
    kept = np.linspace(0, count - 1, min(count, most)).astype(int)
    return {name: windows[kept] for name, windows in clips.items()}
