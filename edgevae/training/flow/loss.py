"""What a prior is trained on: every chunk of a clip, given the chunks before it, or as the first of a clip.

clip       c0   c1   c2   c3   c4
memory     --   0    01   12   23        two chunks; for a share of them nothing, as at the start of a clip
learnt     c0   c1   c2   c3   c4        mixture of chunk and noise -> chunk - noise
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgevae.nn.prior import Prior
from edgevae.training.draws import seed_of
from edgevae.training.flow.config import FlowConfig


@dataclass(frozen=True)
class Lesson:
    """Chunks to learn, each with what is remembered then."""

    chunks: Tensor
    """`[N, t*C, h, w]`."""
    memory: Tensor
    """`[N, M, h, w]`."""
    noise: Tensor
    """Of the chunks' shape."""
    at: Tensor
    """Share of the chunk in the mixture, `[N]`."""

    def to(self, device: torch.device) -> Lesson:
        """Return the same on a device."""
        return Lesson(*(part.to(device) for part in vars(self).values()))


def lesson(prior: Prior, latents: Tensor, config: FlowConfig, *, index: int) -> Lesson:
    """Return what is learnt from clips, by chance that is a function of the run's seed and `index`.

    Args:
        prior: Says how it remembers.
        latents: Of unit scale, `[B, T, C, h, w]`, whole chunks.
        config: The run.
        index: Of the lesson.
    """
    draw = torch.Generator().manual_seed(seed_of(config.seed, index))
    clips, _, c, h, w = latents.shape
    steps = prior.config.chunk_steps
    chunks = latents.reshape(clips, -1, steps * c, h, w)
    count = chunks.shape[1]
    spoilt = chunks + config.past_noise * torch.rand(clips, 1, 1, 1, 1, generator=draw) * (
        torch.randn(chunks.shape, generator=draw)
    )
    memory = torch.zeros(prior.state[0].resolve({"batch": clips, **_sizes(prior, h, w)}))
    memories = list[Tensor]()
    for i in range(count):
        memories.append(memory)
        memory = prior.remember(memory, spoilt[:, i])
    remembered = torch.stack(memories, 1)
    begins = torch.rand(clips, count, 1, 1, 1, generator=draw) < config.begin_share
    # Most of what there is to learn is between noise and latents, not at the ends (Esser et al. 2024, section 3.1).
    at = torch.sigmoid(torch.randn(clips * count, generator=draw))
    flat = chunks.flatten(0, 1)
    return Lesson(
        flat,
        torch.where(begins, torch.zeros(()), remembered).flatten(0, 1),
        torch.randn(flat.shape, generator=draw),
        at,
    )


def flow_loss(prior: Prior, learnt: Lesson) -> Tensor:
    """Return the mean squared error of the direction from noise to latents (Liu et al. 2022, eq. 1)."""
    share = learnt.at[:, None, None, None]
    mixture = share * learnt.chunks + (1.0 - share) * learnt.noise
    said = prior.direction(mixture, learnt.at, learnt.memory)
    return (said.float() - (learnt.chunks - learnt.noise)).square().mean()


def _sizes(prior: Prior, h: int, w: int) -> dict[str, int]:
    cell = prior.config.cell_px
    return {"height": h * cell, "width": w * cell}
