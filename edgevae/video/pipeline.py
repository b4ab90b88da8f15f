"""Clips through a model, file to file: decoding, inference and encoding overlap, memory stays the same however long.

    encode_file        clip    -> [thread: read]  -> encode           -> latents file
    decode_file        latents -> [thread: read]  -> decode           -> [thread: write] -> clip
    reconstruct_file   clip    -> [thread: read]  -> encode -> decode -> [thread: write] -> clip

As many frames come out as went in, with the same timestamps. The model runs in the thread of the caller. An output is
whole or absent: an error, a Ctrl-C or a kill leaves none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from edgevae.errors import InputError
from edgevae.video.clip import ClipFormat, FrameGroup, FrameSource
from edgevae.video.latents_format import LatentsInfo
from edgevae.video.latents_reader import LatentsReader
from edgevae.video.latents_writer import LatentsDType, LatentsWriter
from edgevae.video.reader import open_video
from edgevae.video.result import ClipResult, peak_signal_to_noise_db
from edgevae.video.sound import SoundTrack, open_sound
from edgevae.video.stages import Sink, prefetch
from edgevae.video.streaming import State, StreamingVae, decoded, encoded, reconstructed
from edgevae.video.writer import open_writer

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called after each chunk with the frames done so far, and about how many there will be (None: not known)."""


def encode_file(
    vae: StreamingVae[State],
    clip: Path,
    latents: Path,
    *,
    channels: int | None = None,
    dtype: LatentsDType = "float16",
    sound: bool = True,
    overwrite: bool = False,
    allow_damaged: bool = False,
    progress: Progress | None = None,
) -> ClipResult:
    """Write the latents of a video or image file, all channels or the first ones.

    Raises:
        InputError: the clip cannot be read, or the output exists, is the clip or has no folder, or the model does not
            work with so many channels.
    """
    check_output(latents, source=clip, overwrite=overwrite)
    kept = vae.spec.require_channels(channels)
    began, done = time.perf_counter(), 0
    with (
        _open_clip(vae, clip, allow_damaged=allow_damaged) as source,
        _sound_of(clip, source, wanted=sound) as track,
        LatentsWriter(latents, _latents_info(vae, source.info), dtype=dtype, sound=track) as writer,
        contextlib.closing(prefetch(source)) as groups,
    ):
        for coded, pts in encoded(vae, groups, clip=source.info, channels=kept):
            writer.write(coded, pts)
            done += len(pts)
            _tell(progress, done, source.info.expected_frames)
    return ClipResult.of(
        source.info,
        frames=done,
        seconds=time.perf_counter() - began,
        output=latents,
        latent_channels=kept,
        latents_bytes=writer.latents_bytes,
        notes=(*source.notes, *_sound_notes(track)),
    )


def decode_file(
    vae: StreamingVae[State],
    latents: Path,
    clip: Path,
    *,
    crf: int | None = None,
    lossless: bool = False,
    sound: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ClipResult:
    """Write the clip that a latents file stands for, with its sound.

    Raises:
        InputError: no latents file, an output that cannot be written, or that exists or is the input.
        IncompatibleError: latents of another bundle or number of channels, or damaged (IntegrityError).
    """
    check_output(clip, source=latents, overwrite=overwrite)
    began, done = time.perf_counter(), 0
    with LatentsReader(latents) as source:
        info = source.info
        source.check_model(name=vae.name, digest=vae.model_digest, channels=vae.spec.channels)
        steps = vae.chunk_frames // info.temporal_factor
        with (
            source.sound() if sound else contextlib.nullcontext() as track,
            open_writer(clip, info, crf=crf, lossless=lossless, sound=track) as writer,
            Sink[FrameGroup](lambda group: writer.write(*group)) as sink,
            contextlib.closing(prefetch(source.chunks(steps=steps))) as chunks,
        ):
            for group in decoded(vae, chunks, clip=info, pts=source.pts):
                sink.put(group)
                done += len(group.pts)
                _tell(progress, done, info.frames)
    return ClipResult.of(
        info,
        frames=done,
        seconds=time.perf_counter() - began,
        output=clip,
        latent_channels=source.shape[1],
        latents_bytes=source.latents_bytes,
    )


def reconstruct_file(
    vae: StreamingVae[State],
    clip: Path,
    output: Path,
    *,
    channels: int | None = None,
    crf: int | None = None,
    lossless: bool = False,
    sound: bool = True,
    overwrite: bool = False,
    allow_damaged: bool = False,
    progress: Progress | None = None,
) -> ClipResult:
    """Write what a model keeps of a clip, and measure it; the latents stay in memory, in float32.

    Raises:
        InputError: the clip cannot be read, or the output cannot be written, exists or is the clip, or the model does
            not work with so many channels.
    """
    check_output(output, source=clip, overwrite=overwrite)
    kept = vae.spec.require_channels(channels)
    began, done, error = time.perf_counter(), 0, 0
    with (
        _open_clip(vae, clip, allow_damaged=allow_damaged) as source,
        _sound_of(clip, source, wanted=sound) as track,
        open_writer(output, source.info, crf=crf, lossless=lossless, sound=track) as writer,
        Sink[FrameGroup](lambda group: writer.write(*group)) as sink,
        contextlib.closing(prefetch(source)) as groups,
    ):
        for group, squared in reconstructed(vae, groups, clip=source.info, channels=kept):
            sink.put(group)
            error += squared
            done += len(group.pts)
            _tell(progress, done, source.info.expected_frames)
    result = ClipResult.of(
        source.info,
        frames=done,
        seconds=time.perf_counter() - began,
        output=output,
        latent_channels=kept,
        notes=(*source.notes, *_sound_notes(track)),
    )
    return replace(result, psnr_db=peak_signal_to_noise_db(error, values=3 * result.pixels))


def check_output(path: Path, *, source: Path | None, overwrite: bool) -> None:
    """Refuse an output before the work is done.

    Raises:
        InputError: it is the source, exists and is not to be replaced, is a folder, or has no folder to be in.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder {path.parent} does not exist; make it first")
    if path.exists() and source is not None and source.exists() and path.samefile(source):
        raise InputError(f"{path}: is the input, which would be lost; give another output")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists; give another name, or replace it (--overwrite)")


def _open_clip(vae: StreamingVae[State], clip: Path, *, allow_damaged: bool) -> FrameSource:
    """Open a clip so that it comes in the chunks of a model."""
    return open_video(
        clip,
        group_frames=vae.chunk_frames,
        lead_frames=vae.spec.lead_frames,
        allow_damaged=allow_damaged,
    )


def _latents_info(vae: StreamingVae[State], clip: ClipFormat) -> LatentsInfo:
    return LatentsInfo(
        width_px=clip.width_px,
        height_px=clip.height_px,
        time_base=clip.time_base,
        rate=clip.rate,
        pixel_aspect=clip.pixel_aspect,
        bundle=vae.name,
        model_digest=vae.model_digest,
        temporal_factor=vae.spec.temporal_factor,
        spatial_factor=vae.spec.spatial_factor,
    )


@contextlib.contextmanager
def _sound_of(clip: Path, source: FrameSource, *, wanted: bool) -> Iterator[SoundTrack | None]:
    """Yield the sound of a clip, from an own reading of the file, where there is any and it is wanted."""
    if not (wanted and source.info.has_sound):
        yield None
        return
    with open_sound(clip) as track:
        yield track


def _sound_notes(track: SoundTrack | None) -> list[str]:
    if track is None or track.tracks == 1:
        return []
    return [f"{track.source}: has {track.tracks} sound tracks; only the first is kept"]


def _tell(progress: Progress | None, done: int, expected: int | None) -> None:
    if progress is not None:
        progress(done, expected)
