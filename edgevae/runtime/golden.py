"""Golden vectors: what PyTorch gave when the graphs were exported, which every backend must reproduce on loading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgevae.bundle import GOLDEN, Bundle
from edgevae.errors import IntegrityError, ParityError

if TYPE_CHECKING:
    from edgevae.runtime.vae import Vae

LATENTS_TOLERANCE = {"fp32": 1e-3, "fp16": 3e-2}
"""Largest difference on latents of unit scale. Wider than the export's gate: other machines sum in another order."""

FRAMES_TOLERANCE = {"fp32": 1.0, "fp16": 8.0}
"""Largest difference on frames, in levels of 255."""


def check(vae: Vae, bundle: Bundle) -> None:
    """Run the golden clip through a `Vae` and compare with what PyTorch gave in fp32; two chunks, so that state counts.

    Engines that do not take the clip's size are not run: they were checked when they were built, on this device with
    this TensorRT, and their bytes are the same (`parity.py`).

    Raises:
        IntegrityError: the golden vectors are not those that were written.
        ParityError: latents or frames are off by more than the tolerance, or not finite.
    """
    vectors = read(bundle)
    height, width = vectors["frames"].shape[1:3]
    if not vae.is_ready(height=height, width=width):
        return
    latents = vae.encode(vectors["frames"])
    _compare(vae, "latents", latents, vectors["latents"], LATENTS_TOLERANCE[vae.precision])
    decoded = vae.decode(
        vectors["latents"], frames=len(vectors["decoded"]), size=vectors["decoded"].shape[1:3]
    )
    _compare(vae, "frames", decoded, vectors["decoded"], FRAMES_TOLERANCE[vae.precision])


def read(bundle: Bundle) -> dict[str, np.ndarray]:
    """Return `frames` uint8 `[T, H, W, 3]`, `latents` float32 `[t, C, h, w]` and `decoded` uint8 like `frames`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        vectors = load(bundle.read(GOLDEN))
    except SafetensorError as error:
        raise IntegrityError(
            f"{bundle.path / GOLDEN}: not a safetensors file ({error}); export again"
        ) from error
    missing = {"frames", "latents", "decoded"} - vectors.keys()
    if missing:
        raise IntegrityError(
            f"{bundle.path / GOLDEN}: tensor {min(missing)!r} is missing; export again"
        )
    return vectors


def _compare(vae: Vae, what: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    difference = float(np.abs(got.astype(np.float32) - expected.astype(np.float32)).max())
    if not difference <= tolerance:  # so that NaN fails
        raise ParityError(
            f"{vae.name}: golden {what} differ by {difference:.4g} on {vae.backend} {vae.device} {vae.precision}, "
            f"expected at most {tolerance:g}; update the backend or export the bundle again"
        )
