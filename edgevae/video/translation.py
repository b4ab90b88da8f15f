"""Files of some senses to a file of another one: a missing sense filled in, as something to play or to look at.

--from sound=clip.mp4 --+                                +-- frames  .mp4, .mov, .mkv
--from video=clip.mp4 --+-> windows -> latents -> SENSE -+-- sound   .wav, by Griffin and Lim from log-mel frames
                                                         +-- tracks  .csv: frame, point, x, y
"""

from __future__ import annotations

import csv
import io
import time
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from edgevae.errors import InputError
from edgevae.files import write_atomically
from edgevae.mel import MelConfig, samples_of
from edgevae.senses import Array, Sense, SensesSpec
from edgevae.video.clip import ClipFormat
from edgevae.video.perception import perceive, same_length
from edgevae.video.pipeline import check_output
from edgevae.video.writer import open_writer

_TICKS = 1000
"""Of a frame: rates need not be whole numbers."""


class Translates(Protocol):
    """What is used here of `edgevae.MultimodalVae`, which lives in a package that this one does not know."""

    senses: SensesSpec

    def translate(self, given: Mapping[str, Array], name: str) -> Array:
        """Return what a sense would have of a clip of which others are there."""


@dataclass(frozen=True, kw_only=True)
class TranslationResult:
    """What was done."""

    output: str
    """The file that was written."""
    sense: str
    """What it is of."""
    given: tuple[str, ...]
    """The senses that there were."""
    windows: int
    """How long it is, in windows of the model."""
    seconds: float
    """Of work."""


def translate_files(
    model: Translates,
    sources: Mapping[str, Path],
    sense: str,
    output: Path,
    *,
    overwrite: bool = False,
) -> TranslationResult:
    """Write what a sense would have of files of others.

    Args:
        model: The model.
        sources: By the sense's name, the file that it has; one file may be of several.
        sense: What to write; it may be among the sources, and is then reconstructed.
        output: The file, of a kind that fits the sense.
        overwrite: Replace it where it exists.

    Raises:
        InputError: no source, an unknown sense, a file without it or shorter than a window, or an output of another
            kind, that exists, that is a source, or whose folder does not exist.
        MediaError: a file cannot be read.
    """
    began, wanted = time.perf_counter(), model.senses.sense(sense)
    _check_output(wanted, output, sources, overwrite=overwrite)
    senses = [model.senses.sense(name) for name in sources]
    clips = {s.name: perceive(sources[s.name], s, model.senses) for s in senses}
    made = model.translate(same_length(clips, senses) if clips else clips, sense)
    write_sense(wanted, made, model.senses, output)
    return TranslationResult(
        output=str(output),
        sense=sense,
        given=tuple(sources),
        windows=made.shape[wanted.time_axis] // wanted.clip_shape[wanted.time_axis],
        seconds=time.perf_counter() - began,
    )


def write_sense(sense: Sense, clip: Array, spec: SensesSpec, output: Path) -> None:
    """Write what a sense has, as `MultimodalVae.decode` gives it, to a file of its kind; whole or not at all."""
    if sense.kind == "frames":
        rate = Fraction(spec.frames_per_second).limit_denominator(1000)
        form = ClipFormat(
            width_px=sense.shape[2],
            height_px=sense.shape[1],
            time_base=1 / (rate * _TICKS),
            rate=rate,
        )
        with open_writer(output, form) as writer:
            stamps = np.arange(len(clip), dtype=np.int64) * _TICKS
            writer.write(np.ascontiguousarray(clip).astype(np.uint8, copy=False), stamps)
    elif sense.kind == "sound":
        assert spec.sound is not None, "checked by SensesSpec"
        write_atomically(output, _wave(clip, spec.sound))
    else:
        write_atomically(output, _table(clip))


def _wave(frames: Array, config: MelConfig) -> bytes:
    """Return a WAV file, 16 bits a sample, of log-mel frames `[channels, S, bands]`."""
    samples = np.stack([samples_of(one.astype(np.float32), config) for one in frames])
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(len(samples))
        out.setsampwidth(2)
        out.setframerate(config.sample_rate_hz)
        out.writeframes(np.rint(samples.T * 32767.0).astype("<i2").tobytes())
    return file.getvalue()


def _table(tracks: Array) -> bytes:
    """Return tracks `[T, points, 2]` as CSV."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["frame", "point", "x", "y"])
    for frame, points in enumerate(tracks):
        rows.writerows([frame, i, f"{x:.4f}", f"{y:.4f}"] for i, (x, y) in enumerate(points))
    return text.getvalue().encode()


_SUFFIXES = {"frames": (".mp4", ".mov", ".mkv"), "sound": (".wav",), "tracks": (".csv",)}


def _check_output(
    sense: Sense, output: Path, sources: Mapping[str, Path], *, overwrite: bool
) -> None:
    known = _SUFFIXES[sense.kind]
    if output.suffix.lower() not in known:
        raise InputError(
            f"{output}: got {output.suffix or 'no extension'}, expected {', '.join(known)} for {sense.name}"
        )
    for source in sources.values():
        check_output(output, source=source, overwrite=overwrite)
