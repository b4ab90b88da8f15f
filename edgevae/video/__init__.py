"""Video files, still images and latents files: in and out in constant memory. Needs PyAV and Pillow (extra `video`)."""

from __future__ import annotations

from edgevae.errors import UnavailableError

try:
    import av  # noqa: F401  # asked for here so that the message says what to install
    import PIL  # noqa: F401
except ImportError as _error:
    raise UnavailableError(
        f"{_error.name} is not installed; install it with: pip install 'edgevae[video]'"
    ) from _error

from edgevae.video.clip import ClipFormat, FrameGroup, FrameSource, VideoInfo
from edgevae.video.generation import generate_files
from edgevae.video.latents_format import LatentsInfo
from edgevae.video.latents_reader import LatentsReader
from edgevae.video.latents_writer import LatentsWriter
from edgevae.video.made_clip import write_made_clip
from edgevae.video.pipeline import decode_file, encode_file, reconstruct_file
from edgevae.video.prediction import predict_file
from edgevae.video.reader import open_video
from edgevae.video.result import ClipResult
from edgevae.video.sound import SoundTrack, open_sound
from edgevae.video.translation import TranslationResult, translate_files
from edgevae.video.writer import FrameSink, open_writer

__all__ = [
    "ClipFormat",
    "ClipResult",
    "FrameGroup",
    "FrameSink",
    "FrameSource",
    "LatentsInfo",
    "LatentsReader",
    "LatentsWriter",
    "SoundTrack",
    "TranslationResult",
    "VideoInfo",
    "decode_file",
    "encode_file",
    "generate_files",
    "open_sound",
    "open_video",
    "open_writer",
    "predict_file",
    "reconstruct_file",
    "translate_files",
    "write_made_clip",
]
