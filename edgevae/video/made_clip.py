"""A clip of the made world as a file to play: its video, small, with its sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from edgevae.files import atomic_file
from edgevae.made_world import FRAMES_PER_SECOND, SIDE_PX, SOUND, MadeWorld
from edgevae.video.container import writing


def write_made_clip(world: MadeWorld, index: int, path: Path) -> None:
    """Write clip `index` as Matroska: 12.5 frames a second of lossless H.264 in RGB, and sound of 16 bits a sample.

    Raises:
        EdgeVaeError: it cannot be written.
    """
    frames, samples = world.clip(index)["video"], world.samples(index)
    with (
        writing(path),
        atomic_file(path) as partial,
        av.open(str(partial), "w", format="matroska") as file,
    ):
        video = file.add_stream("libx264rgb", rate=Fraction(FRAMES_PER_SECOND))
        video.width = video.height = SIDE_PX
        video.pix_fmt, video.options = "rgb24", {"qp": "0"}
        audio = file.add_stream("pcm_s16le", rate=SOUND.sample_rate_hz, layout="stereo")
        for picture in frames:
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode(None))
        levels = np.rint(samples.T * 32767.0).astype(np.int16).reshape(1, -1)
        sound = av.AudioFrame.from_ndarray(levels, format="s16", layout="stereo")
        sound.sample_rate, sound.pts = SOUND.sample_rate_hz, 0
        file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
