"""A media file as the senses of a model: its frames small and at the model's pace, its sound as log-mel, its motion.

file --frames, squeezed to H x W--> nearest to k / fps -+--> frames --motion of blocks--> tracks
     --sound, resampled-----------> log-mel             +--> all cut to whole windows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from PIL import Image

from edgevae.errors import InputError, MediaError
from edgevae.frames import Frames
from edgevae.mel import Samples, log_mel
from edgevae.motion_tracks import block_motion
from edgevae.senses import Array, Sense, SensesSpec
from edgevae.video.container import open_media, reason
from edgevae.video.reader import open_video

Seconds = npt.NDArray[np.float64]

MOST_REPEATS = 1000
"""Of a frame, on average: timestamps of a file decide how many are held in memory."""


@dataclass(frozen=True)
class Watched:
    """All frames of a file, small."""

    frames: Frames
    """uint8 `[N, H, W, 3]`, the whole picture squeezed to these sides."""
    times_s: Seconds
    """When each is shown, `[N]`, from 0."""

    def at(self, begin_s: float, count: int, *, frames_per_second: float) -> Frames:
        """Return the frames shown nearest to begin, begin + 1 / rate, ..., `[count, H, W, 3]`."""
        wanted = begin_s + np.arange(count) / frames_per_second
        after = np.clip(np.searchsorted(self.times_s, wanted), 1, max(1, len(self.times_s) - 1))
        before = after - 1
        after = np.minimum(after, len(self.times_s) - 1)
        nearer = np.abs(self.times_s[after] - wanted) < np.abs(self.times_s[before] - wanted)
        found: Frames = self.frames[np.where(nearer, after, before)]
        return found

    @property
    def duration_s(self) -> float:
        """Until the last frame ends, which lasts as long as the mean of the others."""
        if len(self.times_s) < 2:
            return 0.0
        return float(self.times_s[-1] * len(self.times_s) / (len(self.times_s) - 1))


def watch(path: Path, *, height_px: int, width_px: int) -> Watched:
    """Return the frames of a video, small.

    Raises:
        MediaError: as `open_video`.
    """
    frames, times = list[Frames](), list[float]()
    with open_video(path) as source:
        base = float(source.info.time_base)
        for group in source:
            for frame, stamp in zip(group.frames, group.pts, strict=True):
                picture = Image.fromarray(frame).resize((width_px, height_px), Image.Resampling.BOX)
                frames.append(np.asarray(picture))
                times.append(float(stamp) * base)
    return Watched(np.stack(frames), np.array(times) - times[0])


def listen(path: Path, *, sample_rate_hz: int, channels: int) -> Samples:
    """Return the first sound track of a file, float32 `[channels, N]`, resampled.

    One channel is the mean of all; two are the first two, or one twice.

    Raises:
        MediaError: the file cannot be opened, has no sound, or sound that cannot be read.
        InputError: channels other than 1 or 2.
    """
    if channels not in (1, 2):
        raise InputError(f"sound: got {channels} channels, expected 1 or 2")
    # Not its own mixing, which takes 3 dB off some layouts and adds them to others.
    resampler = AudioResampler(format="fltp", rate=sample_rate_hz)
    parts = list[npt.NDArray[np.float32]]()
    with open_media(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: has no sound track, expected a file with sound")
        try:
            for frame in container.decode(container.streams.audio[0]):
                parts += [_samples(f) for f in resampler.resample(frame)]
            parts += [_samples(f) for f in resampler.resample(None)]
        except (av.FFmpegError, OSError) as error:
            raise MediaError(
                f"{path}: its sound cannot be read to the end ({reason(error)}); give a whole file"
            ) from error
    if not parts:
        raise MediaError(f"{path}: its sound track holds no sample, expected sound")
    samples = np.concatenate(parts, axis=1)
    if channels == 1:
        mixed: Samples = samples.mean(0, keepdims=True)
        return mixed
    return samples[:2] if len(samples) > 1 else np.repeat(samples, 2, axis=0)


def _samples(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Return planar float samples, `[channels, n]`."""
    return frame.to_ndarray().astype(np.float32, copy=False)


def perceive(path: Path, sense: Sense, spec: SensesSpec) -> Array:
    """Return what a sense has of a file: whole windows, as `MultimodalVae.posterior` takes it; a rest is left out.

    Raises:
        MediaError: the file cannot be read, or has not what the sense is of.
        InputError: it is shorter than a window, its timestamps leap, or the sense is of tracks that no file has.
    """
    if sense.kind == "sound":
        assert spec.sound is not None, "checked by SensesSpec"
        samples = listen(path, sample_rate_hz=spec.sound.sample_rate_hz, channels=sense.shape[0])
        return _whole(log_mel(samples, spec.sound), sense, path=path)
    if sense.kind == "tracks" and spec.tracks != "motion":
        raise InputError(
            f"{path}: {sense.name} are places of things, which are in no media file; give them from Python"
        )
    sides = sense.shape[1:] if sense.kind == "frames" else spec.motion_px
    seen = watch(path, height_px=sides[0], width_px=sides[1])
    count = int(seen.duration_s * spec.frames_per_second + 1e-6)
    if count > MOST_REPEATS * len(seen.frames):
        raise InputError(
            f"{path}: {len(seen.frames)} frames in {seen.duration_s:.0f} s, expected no more than {MOST_REPEATS} times "
            f"as many at {spec.frames_per_second:g} a second; its timestamps have a gap, write them again"
        )
    frames = seen.at(0.0, max(1, count), frames_per_second=spec.frames_per_second)
    return _whole(frames if sense.kind == "frames" else block_motion(frames), sense, path=path)


def _whole(clip: Array, sense: Sense, *, path: Path) -> Array:
    """Return a clip without what is left of a last window.

    Raises:
        InputError: it is shorter than a window.
    """
    axis, own = sense.time_axis, sense.clip_shape[sense.time_axis]
    count = clip.shape[axis] // own
    if not count:
        raise InputError(
            f"{path}: {sense.name} has {clip.shape[axis]} steps, expected at least the {own} of a window"
        )
    return _first(clip, sense, count)


def same_length(clips: dict[str, Array], senses: Sequence[Sense]) -> dict[str, Array]:
    """Return clips cut to the windows that all of them have: sound and video of a file end a little apart."""
    count = min(clips[s.name].shape[s.time_axis] // s.clip_shape[s.time_axis] for s in senses)
    return {s.name: _first(clips[s.name], s, count) for s in senses}


def _first(clip: Array, sense: Sense, windows: int) -> Array:
    """Return the first windows of a clip."""
    length = windows * sense.clip_shape[sense.time_axis]
    return clip[(slice(None),) * sense.time_axis + (slice(length),)]
