"""The clips of a bundle: of its generator, of a plain normal in its latents, and real ones that it reconstructs.

decoder alone              NAME
encoder + decoder          NAME, plain normal    NAME, normal with covariances    NAME, reconstructed
encoder + decoder + prior  NAME    the same three
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgevae.bundle import Bundle
from edgevae.cli.options import load_model, open_generator, resolve_model
from edgevae.frames import Frames
from edgevae.moving_mnist import SIDE_PX
from edgevae_bench.generation import gaussian
from edgevae_bench.generation.clips import Subject, array_subject, as_grey
from edgevae_bench.generation.figures import Grey, psnr_dB

_AT_ONCE = 50
"""Clips of one call."""
_FITTED = 1500
"""Clips that a normal is fitted to, at least."""


def subjects_of(
    model: str,
    *,
    seed: int,
    real: Callable[[int, int], Grey],
    **backend: Any,  # Any: the options of load_model
) -> tuple[Subject, ...]:
    """Return what a model makes.

    Args:
        model: A bundle, a checkpoint, the name of a shipped model, or a .npy file of clips.
        seed: Of the noise.
        real: Makes the clips that are reconstructed.
        backend: What runs it.

    Raises:
        InputError: it is none of these.
    """
    if model.endswith(".npy"):
        return (array_subject(Path(model)),)
    bundle = Bundle.open(resolve_model(model))
    name, roles = bundle.manifest.name, bundle.roles

    def made(*, plain_normal: bool) -> Callable[[int, int], Grey]:
        return lambda count, frames: _generated(
            model, count, frames, seed=seed, plain_normal=plain_normal, backend=backend
        )

    def reconstructed(count: int, frames: int) -> Grey:
        return _through(model, real(count, frames), backend)

    def fidelity(clips: Grey) -> float:
        return psnr_dB([_through(model, clips, backend)], [clips])

    found = list[Subject]()
    if "encoder" not in roles or "prior" in roles:
        found.append(Subject(name, made(plain_normal=False), bundle.digest))
    if "encoder" in roles:
        found.append(Subject(f"{name}, plain normal", made(plain_normal=True), bundle.digest))
        found.append(
            Subject(
                f"{name}, normal with covariances",
                lambda count, frames: _of_normal(model, real, count, frames, seed, backend),
                bundle.digest,
            )
        )
        found.append(
            Subject(f"{name}, reconstructed", reconstructed, bundle.digest, psnr_dB=fidelity)
        )
    return tuple(found)


def _generated(
    model: str,
    count: int,
    frames: int,
    *,
    seed: int,
    plain_normal: bool,
    backend: dict[str, Any],  # Any: as above
) -> Grey:
    """Return clips that a model makes of noise, some at once; each of these calls has a seed of its own."""
    with open_generator(model, plain_normal=plain_normal, **backend) as generator:
        parts = [
            generator.generate(
                frames=frames,
                count=min(_AT_ONCE, count - first),
                seed=seed + first,
                size=(SIDE_PX, SIDE_PX),
            )
            for first in range(0, count, _AT_ONCE)
        ]
    return as_grey(np.concatenate(parts))


def _of_normal(
    model: str,
    real: Callable[[int, int], Grey],
    count: int,
    frames: int,
    seed: int,
    backend: dict[str, Any],  # Any: as above
) -> Grey:
    """Return clips of latents drawn from a normal that was fitted to those of as many real clips."""
    with load_model(model, **backend) as vae:
        clips = _parts(real(max(count, _FITTED), frames))
        latents = np.concatenate([vae.encode(_as_rgb(part)) for part in clips])
        chunk = vae.chunk_frames // vae.spec.temporal_factor
        normal = gaussian.fit(latents, chunk=chunk)
        chunks = -(-latents.shape[1] // chunk)
        drawn = np.stack([normal.sample(chunks, seed=seed, clip=i) for i in range(count)])
        made = [vae.decode(part) for part in _parts(drawn)]
    return as_grey(np.concatenate(made)[:, :frames])


def _parts(clips: np.ndarray) -> list[np.ndarray]:
    return np.array_split(clips, -(-len(clips) // _AT_ONCE))


def _as_rgb(clips: Grey) -> Frames:
    return np.repeat(clips[..., None], 3, -1)


def _through(model: str, clips: Grey, backend: dict[str, Any]) -> Grey:  # Any: as above
    """Return what a VAE makes of grey clips."""
    with load_model(model, **backend) as vae:
        return np.concatenate(
            [
                as_grey(vae.decode(vae.encode(_as_rgb(part)))[:, : part.shape[1]])
                for part in _parts(clips)
            ]
        )
