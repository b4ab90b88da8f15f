"""The parity gate with fewer latent channels: the decoder gets the first ones and 0 for the others, as at run time.

    encoder -> latents [t, C, h, w] -> the first n kept, 0 for the others -> decoder        n of `nested_channels`

Reference and candidate are cut in the same way, so `verify.compare` finds again what is between the graphs. What is
lost with the channels is the model's business, not the gate's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgevae.frames import Frames
from edgevae.spec import Role
from edgevae_export import verify
from edgevae_export.exportable import Exportable
from edgevae_export.precision import Peaks
from edgevae_export.runs import Run, torch_runs
from edgevae_export.verify import Reference


def references(
    exportable: Exportable,
    clips: dict[str, Frames],
    *,
    chunk_frames: int,
    peaks: Mapping[Role, Peaks] | None = None,
) -> dict[str, tuple[Reference, ...]]:
    """Return PyTorch's fp32 results on each clip, with all channels and then with each nested number of them.

    Args:
        exportable: The VAE.
        clips: uint8 `[T, H, W, 3]` by kind.
        chunk_frames: Frames per call.
        peaks: Told of the layers' peaks, with every number of channels.
    """
    whole = verify.references(exportable, clips, chunk_frames=chunk_frames, peaks=peaks)
    levels = exportable.spec.nested_channels
    if not levels:
        return {name: (reference,) for name, reference in whole.items()}
    runs = torch_runs(exportable, precision="fp32", chunk_frames=chunk_frames, peaks=peaks)
    return {
        name: (reference, *(_first(reference, n, runs["decoder"]) for n in levels))
        for name, reference in whole.items()
    }


def _first(whole: Reference, channels: int, decode: Run) -> Reference:
    """Return what the first channels alone of a clip's latents become."""
    latents = verify.first_channels(whole.latents, channels)
    return replace(whole, latents=latents, frames=decode(latents), channels=channels)
