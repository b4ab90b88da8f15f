"""edgevae: variational autoencoders for images and video, from PyTorch to the device.

    import edgevae

    with edgevae.load("edgevae-video-s") as vae:
        latents = vae.encode(frames)                       # uint8 [T, H, W, 3] -> float32 [t, C, h, w]
        again = vae.decode(latents, frames=len(frames), size=frames.shape[1:3])

Importing this package needs numpy only; a backend's library is loaded by `load`.
"""

from __future__ import annotations

from edgevae.bundle import Bundle
from edgevae.engine.profile import Profile, Size
from edgevae.errors import (
    ConfigError,
    DeviceError,
    EdgeVaeError,
    GateError,
    IncompatibleError,
    InputError,
    IntegrityError,
    MediaError,
    OutOfMemoryError,
    ParityError,
    UnavailableError,
)
from edgevae.frames import chunks
from edgevae.runtime.generator import Generator, load_generator
from edgevae.runtime.multimodal import LatentPosterior, MultimodalVae, load_multimodal
from edgevae.runtime.predictor import Predictor, load_predictor
from edgevae.runtime.stream import StreamState
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.runtime.tiling import Tiling
from edgevae.runtime.vae import Vae, load
from edgevae.spec import GraphSpec, TensorSpec, VaeSpec
from edgevae.version import __version__

__all__ = [
    "Bundle",
    "ConfigError",
    "DeviceError",
    "EdgeVaeError",
    "GateError",
    "Generator",
    "GraphSpec",
    "IncompatibleError",
    "InputError",
    "IntegrityError",
    "LatentPosterior",
    "MediaError",
    "MultimodalVae",
    "OutOfMemoryError",
    "ParityError",
    "Predictor",
    "Profile",
    "Size",
    "StreamState",
    "TensorRtOptions",
    "TensorSpec",
    "Tiling",
    "UnavailableError",
    "Vae",
    "VaeSpec",
    "__version__",
    "chunks",
    "load",
    "load_generator",
    "load_multimodal",
    "load_predictor",
]
