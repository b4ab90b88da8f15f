"""Make short clips with real texture, motion and sound, for tests; as a script, one clip to look at.

python tests/assets/make_clip.py clip.mp4
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SOUND_RATE = 48000
RATE = 25
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Weights of red and blue in luma: BT.709, BT.601, BT.2020."""


def texture(height: int, width: int, *, seed: int) -> np.ndarray:
    """Return RGB noise with the 1/f spectrum of photographs, uint8 `[H, W, 3]`."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        spectrum = np.fft.rfft2(random.standard_normal((height, width))) / frequency
        planes.append(np.fft.irfft2(spectrum, s=(height, width)))
    grey, *colours = planes
    image = np.stack([grey + 0.4 * colours[0], grey, grey + 0.4 * colours[1]], axis=-1)
    image = (image - image.mean()) / image.std()
    return np.clip(128 + 48 * image, 0, 255).astype(np.uint8)


def make_frames(count: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Return a pan over one texture with a disc of another moving across, uint8 `[T, H, W, 3]`."""
    ground = texture(height + 2 * count, width + 2 * count, seed=seed)
    disc = texture(height, width, seed=seed + 1)
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((count, height, width, 3), np.uint8)
    for t in range(count):
        frames[t] = ground[t : t + height, 2 * t : 2 * t + width]
        inside = np.hypot(rows - height / 2, columns - (width / 4 + 3 * t) % width) < height / 4
        frames[t][inside] = disc[inside]
    return frames


def to_frame(
    picture: np.ndarray, pixel_format: str, *, matrix: int | None, full_range: bool
) -> av.VideoFrame:
    """Return an RGB picture as a frame; with a matrix by its formula (ITU-T H.273), so that tests depend on no library.

    Args:
        picture: uint8 RGB `[H, W, 3]`.
        pixel_format: The stored format; with a matrix yuv420p, yuv444p or yuv444p10le.
        matrix: One of `MATRICES`, or None to let FFmpeg convert as it likes.
        full_range: Whether YCbCr has full range.
    """
    if matrix is None:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        return frame if pixel_format == "rgb24" else frame.reformat(format=pixel_format)
    red, blue = MATRICES[matrix]
    scale = 4 if "10" in pixel_format else 1
    r, g, b = np.moveaxis(picture / 255, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    chroma = [(b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)]
    if "420" in pixel_format:
        chroma = [
            c.reshape(c.shape[0] // 2, 2, c.shape[1] // 2, 2).mean(axis=(1, 3)) for c in chroma
        ]
    luma = 255 * y if full_range else 16 + 219 * y
    planes = [luma, *(128 + (255 if full_range else 224) * c for c in chroma)]
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        stored = np.zeros(
            (plane.height, plane.line_size // (2 if scale == 4 else 1)),
            "u2" if scale == 4 else "u1",
        )
        stored[:, : plane.width] = np.clip(np.rint(scale * values), 0, 256 * scale - 1)
        plane.update(stored.tobytes())
    return frame


def make_clip(
    path: Path,
    frames: np.ndarray,
    *,
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, RATE),
    codec: str = "libx264rgb",
    pixel_format: str = "rgb24",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    sound: str | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    matrix: int | None = None,
    tagged: bool = True,
    full_range: bool = False,
    transfer: int = 2,
) -> Path:
    """Write frames `[T, H, W, 3]` as a video file, by default lossless; return its path.

    Args:
        path: Where; its suffix decides the container.
        frames: uint8 RGB.
        pts: Timestamps in units of `time_base`; 0, 1, 2 ... without them.
        time_base: Seconds per unit.
        codec: FFmpeg's name of the encoder.
        pixel_format: FFmpeg's name of the stored format.
        options: Of the encoder; crf 0 without them.
        container_options: Of the muxer.
        sound: FFmpeg's name of a sound encoder; a sweep as long as the video.
        rotation: Degrees counter-clockwise by which players turn the picture.
        mirrored: Whether players mirror it left to right, too.
        matrix: Colour matrix of stored YCbCr, one of `MATRICES`.
        tagged: Whether the file says matrix and range.
        full_range: Whether YCbCr has full range.
        transfer: Number of the transfer characteristic to tag (ISO/IEC 23091-2).
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=RATE, options=options or {"crf": "0"})
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = pixel_format
        video.codec_context.time_base = time_base
        video.codec_context.color_trc = transfer
        if matrix is not None and tagged:
            video.codec_context.colorspace = matrix
            video.codec_context.color_range = 2 if full_range else 1
        if rotation or mirrored:
            video.set_display_rotation(rotation, hflip=mirrored)
        audio = container.add_stream(sound, rate=SOUND_RATE) if sound else None
        for number, picture in enumerate(frames):
            frame = to_frame(picture, pixel_format, matrix=matrix, full_range=full_range)
            frame.pts, frame.time_base = number if pts is None else pts[number], time_base
            container.mux(video.encode(frame))
            if audio is not None:
                container.mux(audio.encode(_tone(number, audio)))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def _tone(number: int, stream: av.AudioStream) -> av.AudioFrame:
    """Return the part of a rising tone that sounds during frame `number`."""
    count = SOUND_RATE // RATE
    seconds = (np.arange(count) + number * count) / SOUND_RATE
    wave = (8000 * np.sin(2 * np.pi * (300 + 100 * seconds) * seconds)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = (
        SOUND_RATE,
        number * count,
        Fraction(1, SOUND_RATE),
    )
    return frame


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_clip.py CLIP.mp4")
    target = Path(sys.argv[1])
    make_clip(
        target,
        make_frames(75, 180, 320),
        codec="libx264",
        pixel_format="yuv420p",
        options={"crf": "20"},
        sound="aac",
        matrix=1,
    )
    sys.stdout.write(f"{target}\n")
