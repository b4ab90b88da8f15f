"""A predictor let loose on clips: shown real chunks, then fed with what it said itself.

shown    c0   c1   c2   c3   c4   -    -    -    -           chunks of 2 frames, 10 seen and 10 predicted
said     c1   c2   c3   c4   c5   c6   c7   c8   c9          all are trained on; c5 and later are the task
                             task -----------------
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgevae.nn.predictor import Predictor
from edgevae.training.prediction.config import PredictionConfig
from edgevae.training.prediction.data import forgiven, pixels_of


def rollout(predictor: Predictor, latents: Tensor, *, seen_frames: int) -> Tensor:
    """Return what a predictor says of all steps but those of the first chunk.

    Args:
        predictor: The network.
        latents: Of whole clips, `[B, T, C, h, w]`; beyond `seen_frames` only their number counts.
        seen_frames: How many it is shown; whole chunks.

    Returns:
        `[B, T - chunk, C, h, w]`.
    """
    steps, clips = predictor.config.chunk_steps, len(latents)
    ahead = latents[:, :steps].flatten(0, 1)
    memory = predictor.initial_memory(ahead)
    said = []
    for first in range(0, latents.shape[1] - steps, steps):
        if first < seen_frames:
            ahead = latents[:, first : first + steps].flatten(0, 1)
        ahead, memory = predictor(ahead, memory)
        said.append(ahead.unflatten(0, (clips, steps)))
    return torch.cat(said, 1)


def loss_of(predictor: Predictor, latents: Tensor, config: PredictionConfig) -> Tensor:
    """Return the mean squared error of latents of unit scale over all that a predictor says of some clips.

    In the code of patches that is the error of pixels as they are shown, whatever the scale.
    """
    said = rollout(predictor, latents, seen_frames=config.seen_frames)
    wanted = latents[:, config.network.chunk_steps :]
    return (forgiven(said.float(), wanted) - wanted).square().mean()


@torch.no_grad()
def frame_errors(predictor: Predictor, latents: Tensor, config: PredictionConfig) -> Tensor:
    """Return the squared error summed over the pixels of each predicted frame, `[B, predicted]`, as it is published."""
    said = rollout(predictor, latents, seen_frames=config.seen_frames)[
        :, -config.predicted_frames :
    ]
    difference = pixels_of(said.float()) - pixels_of(latents[:, -config.predicted_frames :])
    return difference.square().sum((2, 3, 4))
