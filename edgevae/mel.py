"""Log-mel frames of sound, in numpy: what of a sound an ear tells apart, as a picture of steps by bands.

    samples --windows--> spectra --|.|^2--> power --filters--> bands --10 log10--> dB, from -80

Mel as HTK defines it, mel(f) = 2595 log10(1 + f / 700); the filters are triangles over it with a peak of 1, which is
librosa's `filters.mel(..., htk=True, norm=None)`. Power is relative to a sine of full scale, so that sound at the top
of its range is about 0 dB whatever the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgevae.errors import ConfigError, InputError

Samples = npt.NDArray[np.floating]
LogMel = npt.NDArray[np.float32]

FLOOR_DB = -80.0
"""The least that a band shows."""
MOST_HZ = 384_000
"""Samples a second, of the fastest sound cards."""


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """How sound becomes log-mel frames."""

    sample_rate_hz: int = 16_000
    """Samples a second, 1000 to 384,000."""
    hop_samples: int = 320
    """From one frame to the next: 20 ms; a second at most."""
    window_samples: int = 640
    """Of one frame, weighted by a Hann window: 40 ms; a second and 64 hops at most, which memory grows with."""
    bands: int = 32
    """Filters; no more than the window has frequencies."""
    low_hz: float = 60.0
    """Where the lowest filter begins."""
    high_hz: float = 7600.0
    """Where the highest one ends."""

    def __post_init__(self) -> None:
        rate, window = self.sample_rate_hz, self.window_samples
        for name, value, least, most in (
            ("sample_rate_hz", rate, 1000, MOST_HZ),
            ("hop_samples", self.hop_samples, 1, rate),
            ("window_samples", window, 2, min(rate, 64 * self.hop_samples)),
            ("bands", self.bands, 1, window // 2 + 1),
        ):
            if not least <= value <= most:
                raise ConfigError(f"sound: {name} is {value}, expected {least} to {most}")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ConfigError(
                f"sound: bands from {self.low_hz:g} to {self.high_hz:g} Hz, expected an ascending range within half "
                f"of the {self.sample_rate_hz} samples a second"
            )

    @property
    def frames_per_second(self) -> float:
        """Log-mel frames a second."""
        return self.sample_rate_hz / self.hop_samples


def log_mel(samples: Samples, config: MelConfig) -> LogMel:
    """Return the log-mel frames of a sound, float32 `[S, bands]` or `[channels, S, bands]`, in dB from -80.

    Frame s is centred on sample (s + 1/2) * hop: S frames stand for S * hop samples. Beyond the ends is silence.

    Args:
        samples: Float `[N]` or `[channels, N]`, full scale -1..1; what is left of a last hop is left out.
        config: How.

    Raises:
        InputError: no sample of a whole hop, another number of axes, or a value that is not finite.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.shape[-1] < config.hop_samples:
        raise InputError(
            f"samples: got shape {list(samples.shape)}, expected [N] or [channels, N] with N at least "
            f"{config.hop_samples}"
        )
    if not np.isfinite(samples).all():
        raise InputError("samples: some are NaN or infinite, expected finite numbers")
    spectra = spectra_of(samples, config)
    full_scale = (hann(config.window_samples).sum() / 2.0) ** 2
    power = np.square(np.abs(spectra)) / full_scale @ filters(config).T
    frames: LogMel = np.maximum(10.0 * np.log10(np.maximum(power, 1e-12)), FLOOR_DB).astype(
        np.float32
    )
    return frames


def spectra_of(samples: Samples, config: MelConfig) -> npt.NDArray[np.complexfloating]:
    """Return the spectra `[..., S, window // 2 + 1]` of the windows of a sound."""
    hop, window = config.hop_samples, config.window_samples
    count = samples.shape[-1] // hop
    # Enough silence on both sides for windows whose centres are half a hop from the ends.
    before = max(0, window // 2 - hop // 2)
    padded = np.pad(samples[..., : count * hop], [(0, 0)] * (samples.ndim - 1) + [(before, window)])
    begin = hop // 2 - window // 2 + before
    views = np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1)
    return np.fft.rfft(views[..., begin : begin + count * hop : hop, :] * hann(window))


@lru_cache(maxsize=8)
def hann(length: int) -> npt.NDArray[np.float64]:
    """Return the periodic Hann window."""
    window: npt.NDArray[np.float64] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    return window


@lru_cache(maxsize=8)
def filters(config: MelConfig) -> npt.NDArray[np.float64]:
    """Return the filters `[bands, window // 2 + 1]`: triangles over mel, peak 1."""
    edges_mel = np.linspace(_mel(config.low_hz), _mel(config.high_hz), config.bands + 2)
    edges = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins = np.arange(config.window_samples // 2 + 1) * config.sample_rate_hz / config.window_samples
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    triangles: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return triangles


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def samples_of(frames: LogMel, config: MelConfig, *, rounds: int = 60) -> Samples:
    """Return a sound with given log-mel frames, float64 `[S * hop]` in -1..1, by Griffin and Lim's iteration (1984).

    What bands do not tell, the phase and what lies within a band, is made up: it sounds like a telephone in a tube.

    Args:
        frames: `[S, bands]` in dB.
        config: How they were made.
        rounds: Of the iteration.
    """
    window, hop = config.window_samples, config.hop_samples
    power = np.where(frames > FLOOR_DB + 0.5, 10.0 ** (frames.astype(np.float64) / 10.0), 0.0)
    spread = filters(config)
    shares = power @ (spread / np.maximum(spread.sum(1, keepdims=True), 1e-9))
    wanted = np.sqrt(shares) * (hann(window).sum() / 2.0)
    turn = np.exp(2j * np.pi * np.random.default_rng(0).random(wanted.shape))
    for _ in range(rounds):
        sound = _overlapped(wanted * turn, window=window, hop=hop)
        spectra = spectra_of(sound, config)
        turn = spectra / np.maximum(np.abs(spectra), 1e-9)
    return np.clip(_overlapped(wanted * turn, window=window, hop=hop), -1.0, 1.0)


def _overlapped(
    spectra: npt.NDArray[np.complexfloating], *, window: int, hop: int
) -> npt.NDArray[np.float64]:
    """Return the sound whose windows' spectra are nearest to some, in the least squares."""
    count, weight = len(spectra), hann(window)
    parts = np.fft.irfft(spectra, n=window) * weight
    total = np.zeros(count * hop + 2 * window)
    norm = np.zeros_like(total)
    first = window + hop // 2 - window // 2
    for step, part in enumerate(parts):
        at = first + step * hop
        total[at : at + window] += part
        norm[at : at + window] += np.square(weight)
    sound: npt.NDArray[np.float64] = (total / np.maximum(norm, 1e-3))[window : window + count * hop]
    return sound
