"""A made world of three senses whose true factors are known: a thing that moves, sounds and is tracked.

    factor          video                     sound                               tracks
    shape, of 6     its outline               its pitch                           -
    hue             its colour                -                                   -
    timbre          -                         how strong its overtones are        -
    x, y and path   where it is               balance of the channels; loudness   where it is, with noise
    bounces         it turns round            a click                             it turns round

No sense tells all, and none is always good: a bar hides a part of half of the videos, a burst of noise a part of half
of the sounds, and the tracks tremble and are lost, all 0, in a fifth of the clips.
Everything is a function of a seed and an index, as in `moving_mnist`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae.frames import Frames
from edgevae.mel import MelConfig, Samples, log_mel

SIDE_PX = 64
"""Of the picture."""
FRAMES_PER_SECOND = 12.5
SOUND = MelConfig()
"""At 20 ms a log-mel frame, four of them are a frame of video."""
SHAPES = ("disc", "square", "triangle", "cross", "ring", "diamond")
PITCHES_HZ = (220.0, 311.1, 440.0, 622.3, 880.0, 1244.5)
"""Of the shapes, half an octave apart."""
RADIUS_PX = 13.0
FREE_PX = SIDE_PX - 2 * RADIUS_PX
"""Range of the centre on each axis."""

Grid = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thing:
    """One clip's true factors."""

    shape: int
    """Which of `SHAPES`."""
    hue: float
    """0 (orange) to 1 (violet)."""
    timbre: float
    """0 (a pure tone) to 1 (sharp)."""
    places: Grid
    """(x, y) of the centre at each frame, `[T, 2]`, 0..1 of its free range, from the left and from the bottom."""
    bounced: tuple[int, ...]
    """Frames at which it has just turned round."""


@dataclass(frozen=True)
class MadeWorld:
    """Endless clips by index: the same seed and index always give the same clip."""

    seed: int
    """Decides factors and noise."""
    frames: int = 8
    """T of a clip."""

    def thing(self, index: int) -> Thing:
        """Return the true factors of clip `index`."""
        return _thing(np.random.default_rng([self.seed, index]), self.frames)

    def clip(self, index: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return clip `index`: what each sense has of it.

        Returns:
            video: uint8 RGB `[T, 64, 64, 3]`; sound: log-mel in dB, float32 `[2, 4T, 32]`, left and right; tracks:
            float32 `[T, 1, 2]`, (x, y) in -1..1, from the left and from the bottom.
        """
        rng = np.random.default_rng([self.seed, index])
        thing = _thing(rng, self.frames)
        video = film(thing, rng)
        sound = log_mel(play(thing, rng), SOUND)
        tracks = 2.0 * thing.places - 1.0 + rng.normal(0.0, 0.2, thing.places.shape)
        tracks *= rng.random() >= 0.2
        return {"video": video, "sound": sound, "tracks": tracks[:, None].astype(np.float32)}

    def samples(self, index: int) -> Samples:
        """Return the sound of clip `index` as samples, float64 `[2, N]` in -1..1."""
        rng = np.random.default_rng([self.seed, index])
        thing = _thing(rng, self.frames)
        film(thing, rng)  # takes its random numbers
        return play(thing, rng)

    def batch(self, first: int, count: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return clips from index `first` on, stacked: each sense with an axis B in front."""
        clips = [self.clip(first + i) for i in range(count)]
        return {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}

    def factors(self, first: int, count: int) -> dict[str, Grid]:
        """Return the true factors of clips from index `first` on, each float64 `[count]`."""
        things = [self.thing(first + i) for i in range(count)]
        return {name: np.array([_factor(t)[name] for t in things]) for name in _factor(things[0])}


def _factor(thing: Thing) -> Mapping[str, float]:
    (x, y), (dx, dy) = thing.places.mean(0), thing.places[-1] - thing.places[0]
    return {
        "shape": float(thing.shape),
        "hue": thing.hue,
        "timbre": thing.timbre,
        "x": float(x),
        "y": float(y),
        "moved x": float(dx),
        "moved y": float(dy),
    }


def _thing(rng: np.random.Generator, frames: int) -> Thing:
    shape = int(rng.integers(len(SHAPES)))
    hue, timbre = rng.random(2).tolist()
    place, angle, speed = rng.random(2), 2.0 * np.pi * rng.random(), rng.uniform(0.03, 0.12)
    step = speed * np.array([np.cos(angle), np.sin(angle)])
    places, bounced = np.empty((frames, 2)), []
    for t in range(frames):
        outside = (place < 0.0) | (place > 1.0)
        if outside.any():
            place, step = np.clip(place, 0.0, 1.0), np.where(outside, -step, step)
            bounced.append(t)
        places[t] = place
        place = place + step
    return Thing(shape, hue, timbre, places, tuple(bounced))


def film(thing: Thing, rng: np.random.Generator) -> Frames:
    """Return the video, uint8 `[T, 64, 64, 3]`, with a camera's noise and, in half of the clips, a bar in front."""
    centres = RADIUS_PX + FREE_PX * thing.places
    pixel = np.arange(SIDE_PX) + 0.5
    u = (pixel[None, None, :] - centres[:, 0, None, None]) / RADIUS_PX
    v = (SIDE_PX - pixel[None, :, None] - centres[:, 1, None, None]) / RADIUS_PX
    cover = np.clip(0.5 + RADIUS_PX * _inside(thing.shape, u, v), 0.0, 1.0)[..., None]
    ground = np.array([28.0, 32.0, 40.0])
    frames = ground + cover * (_colour(thing.hue) - ground)
    hidden, at, upright = rng.random() < 0.5, rng.random(), rng.random() < 0.5
    first = int(at * (SIDE_PX - 24))
    if hidden:
        (frames if upright else frames.swapaxes(1, 2))[:, :, first : first + 24] = 60.0
    frames += rng.normal(0.0, 3.0, (*frames.shape[:3], 1))
    video: Frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return video


def _inside(shape: int, u: Grid, v: Grid) -> Grid:
    """Return about how far inside an outline points are, in radii; negative outside."""
    far, wide = np.hypot(u, v), np.maximum(np.abs(u), np.abs(v))
    if shape == 0:
        return 0.9 - far
    if shape == 1:
        return 0.8 - wide
    if shape == 2:
        return np.minimum(v + 0.7, (0.95 - v) / 2.2 - np.abs(u)) * np.ones_like(far)
    if shape == 3:
        return np.minimum(0.95 - wide, 0.3 - np.minimum(np.abs(u), np.abs(v)))
    if shape == 4:
        return 0.22 - np.abs(far - 0.75)
    return (1.0 - np.abs(u) - np.abs(v)) * 0.75


def _colour(hue: float) -> Grid:
    """Return RGB in 0..255 of a hue: orange, green, blue, violet."""
    stops = np.array([[250, 140, 50], [110, 220, 80], [70, 150, 250], [200, 90, 240]], np.float64)
    return np.array([np.interp(3.0 * hue, range(4), stops[:, c]) for c in range(3)])


def play(thing: Thing, rng: np.random.Generator) -> Samples:
    """Return the sound, float64 `[2, N]`, left and right: a tone, a click at each bounce, and noise."""
    per_frame = round(SOUND.sample_rate_hz / FRAMES_PER_SECOND)
    count = per_frame * len(thing.places)
    at = (np.arange(count) + 0.5) / per_frame - 0.5
    x, y = (np.interp(at, range(len(thing.places)), thing.places[:, axis]) for axis in (0, 1))
    hertz = PITCHES_HZ[thing.shape] * 2.0 ** (rng.normal(0.0, 0.5) / 12.0)
    phase = 2.0 * np.pi * hertz * np.arange(count) / SOUND.sample_rate_hz + rng.uniform(0.0, 6.0)
    overtones = [0.12 + 0.78 * thing.timbre] * 5
    tone = np.sin(phase)
    for number, strength in enumerate(overtones, start=2):
        if number * hertz < SOUND.high_hz:
            tone += strength ** (number - 1) * np.sin(number * phase)
    tone *= 0.3 * 10.0 ** (-24.0 * (1.0 - y) / 20.0)
    both = np.stack([tone * 10.0 ** (-12.0 * x / 20.0), tone * 10.0 ** (-12.0 * (1.0 - x) / 20.0)])
    for frame in thing.bounced:
        click = slice(frame * per_frame, frame * per_frame + 240)
        both[:, click] += 0.4 * rng.normal(0.0, 1.0, 240) * np.linspace(1.0, 0.0, 240)
    both += rng.normal(0.0, 10.0 ** (-52.0 / 20.0), both.shape)
    masked, first = rng.random() < 0.5, int(rng.random() * count / 2)
    if masked:
        both[:, first : first + count // 2] += rng.normal(0.0, 0.08, (2, count // 2))
    sound: Samples = np.clip(both, -1.0, 1.0)
    return sound
