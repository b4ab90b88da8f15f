"""The parity gate with fewer latent channels: the decoder gets the first ones and 0 for the others, as at run time.

    encoder -> latents [t, C, h, w] -> the first n kept, 0 for the others -> decoder        n of `nested_channels`

Reference and candidate are cut in the same way, so `verify.compare` finds again what is between the graphs. What is
lost with the channels is the model's business, not the gate's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevae.nn import Vae
from edgevae_export import verify
from edgevae_export.verify import Reference, Run


def references(
    vae: Vae, whole: dict[str, Reference], *, chunk_frames: int
) -> dict[str, tuple[Reference, ...]]:
    """Return PyTorch's fp32 results on each clip, with all channels and then with each nested number of them.

    Args:
        vae: The network.
        whole: Its results with all channels, by clip.
        chunk_frames: Frames per call.
    """
    decode = verify.torch_runs(vae, precision="fp32", chunk_frames=chunk_frames)["decoder"]
    found = dict[str, tuple[Reference, ...]]()
    for name, reference in whole.items():
        found[name] = (reference,)
        for channels in vae.spec.nested_channels:
            latents = verify.first_channels(reference.latents, channels)
            lesser = replace(reference, latents=latents, frames=decode(latents), channels=channels)
            found[name] = (*found[name], lesser)
    return found


def remembered(run: Run) -> Run:
    """Return a run that computes each array once: the encoder's work is the same for every number of channels."""
    results = dict[int, tuple[np.ndarray, np.ndarray]]()

    def once(data: np.ndarray) -> np.ndarray:
        if id(data) not in results:
            results[id(data)] = (
                data,
                run(data),
            )  # held with its result, so that no other array gets its id
        return results[id(data)][1]

    return once
