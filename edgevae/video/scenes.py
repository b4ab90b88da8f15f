"""Windows of real clips of a folder: clips with sound, or a folder a scene with a file a camera.

FOLDER/*.mp4                  senses video, sound and motion (tracks) of every clip
FOLDER/SCENE/CAMERA.mp4       a sense a camera, named as its file; every scene has the same, filmed at the same time

Windows begin at every frame that there is, wherever it lies to the model's pace. A part of each clip is held out
(`held_out`); no window to train on reaches into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError
from edgevae.mel import MelConfig, Samples, log_mel
from edgevae.motion_tracks import BLOCKS, block_motion
from edgevae.senses import Array, Sense, SensesSpec
from edgevae.video.held_out import HoldOut, Side
from edgevae.video.perception import Watched, listen, watch

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")
SOUND = MelConfig()

Windows = dict[str, Array]
"""By the sense's name: `[N, ...]`, a window each."""

Scene = dict[str, "Watched | Samples"]
"""By the sense's name: frames, or samples of sound; motion comes of the frames."""


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How clips become windows."""

    side_px: int
    """Of the square that frames are squeezed to."""
    window_frames: int
    """Of a window."""
    frames_per_second: float
    """Of frames and tracks."""
    held_out: HoldOut
    """Of every clip."""


@dataclass(frozen=True)
class FolderWindows:
    """What a folder has."""

    spec: SensesSpec
    """Its senses."""
    training: Windows
    """To train on."""
    held_out: Windows
    """Those that share no moment with them."""
    held_out_clips: npt.NDArray[np.int64]
    """Which clip, or scene, each of these is of, by its place in the folder: `[N]`, from 0 on."""


def windows_of_folder(folder: Path, config: Cutting) -> FolderWindows:
    """Return the windows of a folder's clips.

    Raises:
        InputError: no such folder, no clips, one camera alone, scenes of different cameras, or clips too short to hold
            out a part of them.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; expected made-world, clips with sound, or a folder a scene"
        )
    groups = [p for p in sorted(folder.iterdir()) if p.is_dir()]
    if groups:
        spec, scenes = _cameras(groups, config)
    else:
        spec, scenes = _clips(folder, config)
    training, held_out, clips = list[Windows](), list[Windows](), list[int]()
    for index, (name, scene) in enumerate(scenes):
        first, second = _cut(spec, scene, config.held_out)
        if not (first and second):
            raise InputError(
                f"{name}: too short for windows of {config.window_frames} frames at {config.frames_per_second:g} a "
                f"second on both sides of a cut that holds out {config.held_out}; leave it out, or hold out longer "
                "stretches"
            )
        training += first
        held_out += second
        clips += [index] * len(second)
    return FolderWindows(
        spec, _stacked(spec, training), _stacked(spec, held_out), np.array(clips, np.int64)
    )


def _clips(folder: Path, config: Cutting) -> tuple[SensesSpec, Iterator[tuple[Path, Scene]]]:
    files = _files(folder)
    steps = config.window_frames / config.frames_per_second * SOUND.frames_per_second
    frames, side = config.window_frames, config.side_px
    spec = SensesSpec(
        senses=(
            Sense(name="video", kind="frames", shape=(frames, side, side)),
            Sense(name="sound", kind="sound", shape=(1, round(steps), SOUND.bands)),
            Sense(name="motion", kind="tracks", shape=(frames, BLOCKS * BLOCKS)),
        ),
        frames_per_second=config.frames_per_second,
        window_frames=frames,
        sound=SOUND,
        tracks="motion",
    )

    def scenes() -> Iterator[tuple[Path, Scene]]:
        for file in files:
            sound = listen(file, sample_rate_hz=SOUND.sample_rate_hz, channels=1)
            yield file, {"video": watch(file, height_px=side, width_px=side), "sound": sound}

    return spec, scenes()


def _cameras(
    groups: list[Path], config: Cutting
) -> tuple[SensesSpec, Iterator[tuple[Path, Scene]]]:
    cameras = [f.stem for f in _files(groups[0])]
    if len(cameras) < 2:
        raise InputError(
            f"{groups[0]}: has the one camera {cameras[0]}, expected two or more, a file each; a folder of clips with "
            "sound has no folders in it"
        )
    shape = (config.window_frames, config.side_px, config.side_px)
    for group in groups:
        if [f.stem for f in _files(group)] != cameras:
            raise InputError(
                f"{group}: has {', '.join(f.stem for f in _files(group))}, expected the cameras of {groups[0]}: "
                f"{', '.join(cameras)}"
            )
    spec = SensesSpec(
        senses=tuple(Sense(name=name, kind="frames", shape=shape) for name in cameras),
        frames_per_second=config.frames_per_second,
        window_frames=config.window_frames,
    )

    def scenes() -> Iterator[tuple[Path, Scene]]:
        for group in groups:
            files = _files(group)
            yield (
                group,
                {
                    f.stem: watch(f, height_px=config.side_px, width_px=config.side_px)
                    for f in files
                },
            )

    return spec, scenes()


def _files(folder: Path) -> list[Path]:
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES]
    if not files:
        raise InputError(f"{folder}: has no clip, expected {', '.join(SUFFIXES)}")
    return files


def _cut(spec: SensesSpec, scene: Scene, held_out: HoldOut) -> tuple[list[Windows], list[Windows]]:
    """Return the windows of a scene to train on, and those held out."""
    seen = [s for s in scene.values() if isinstance(s, Watched)]
    heard = [s.shape[1] / SOUND.sample_rate_hz for s in scene.values() if isinstance(s, np.ndarray)]
    clip_s = min(*(s.duration_s for s in seen), *heard, float("inf"))
    length_s, frame_s = spec.window_frames / spec.frames_per_second, 1.0 / spec.frames_per_second
    spectrum_s = 0.5 * SOUND.window_samples / SOUND.sample_rate_hz if heard else 0.0
    lead_s = max(spectrum_s, frame_s if spec.tracks == "motion" else 0.0)
    found: dict[Side, list[Windows]] = {side: [] for side in Side}
    for begin in map(float, seen[0].times_s):
        side = held_out.side(
            begin, begin + length_s, lead_s=lead_s, tail_s=spectrum_s, clip_s=clip_s
        )
        if side is not Side.NEITHER:
            found[side].append(_window(spec, scene, begin))
    return found[Side.TRAINING], found[Side.HELD_OUT]


def _window(spec: SensesSpec, scene: Scene, begin_s: float) -> Windows:
    found = dict[str, Array]()
    first = next(s for s in scene.values() if isinstance(s, Watched))
    rate, count = spec.frames_per_second, spec.window_frames
    for sense in spec.senses:
        source = scene.get(sense.name)
        if isinstance(source, Watched):
            found[sense.name] = source.at(begin_s, count, frames_per_second=rate)
        elif isinstance(source, np.ndarray):
            found[sense.name] = _heard(source, begin_s, sense.shape[1])
        else:  # with the frame before the window, where there is one
            lead = first.at(begin_s - 1.0 / rate, count + 1, frames_per_second=rate)
            found[sense.name] = block_motion(lead)[1:]
    return found


def _heard(samples: Samples, begin_s: float, steps: int) -> Array:
    """Return log-mel frames of a stretch, with the sound around it in the first and last window."""
    hop, around = SOUND.hop_samples, 2
    first = round(begin_s * SOUND.sample_rate_hz) - around * hop
    stop = first + (steps + 2 * around) * hop
    part = samples[:, max(0, first) : stop]
    padded = np.pad(part, ((0, 0), (max(0, -first), stop - max(0, first) - part.shape[1])))
    return log_mel(padded, SOUND)[:, around:-around]


def _stacked(spec: SensesSpec, windows: list[Windows]) -> Windows:
    return {name: np.stack([w[name] for w in windows]) for name in spec.names}
