"""How like real clips the made ones are, while a generator learns: without labels, and the same for a whole run.

The Fréchet distance in the features of a critic of frames that never learnt anything: random convolutions tell strokes
from blots, if not a 4 from a 9. For a table there is the classifier of the benchmark.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgevae.moving_mnist import MovingMnist, Pictures
from edgevae.nn.critics import Critic
from edgevae.nn.generator import Generator

_SEED = 778
_WIDTHS = (16, 32, 64)
_BATCH = 64
_DEAD = 1e-3
"""Added to the deviation of a feature, so that one that is always the same counts little."""


class Likeness:
    """Real clips as features, and what judges made ones.

    Args:
        digits: That are not trained on.
        clips: How many are compared.
        frames: Of a clip; the last one of each is compared.
    """

    def __init__(self, digits: Pictures, *, clips: int, frames: int) -> None:
        self._clips, self._frames = clips, frames
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            self._judge = Critic(1, _WIDTHS).eval().requires_grad_(False)
        real = MovingMnist(digits, seed=_SEED).batch(0, clips, frames=frames)[:, -1]
        seen = self._features(torch.from_numpy(real).float() / 255.0)
        self._scale = 1.0 / (seen.std(0) + _DEAD)
        self._real = self._scale * seen

    @torch.no_grad()
    def distance(self, generator: Generator) -> float:
        """Return the distance of clips of a generator in evaluation mode; the noise is always the same.

        Each feature is measured in its deviation over real clips.
        """
        device = next(generator.parameters()).device
        random = torch.Generator().manual_seed(_SEED)
        noise = torch.randn(self._clips, generator.config.latent_channels, generator=random)
        made = [
            generator(some.to(device), self._frames)[:, -1] for some in torch.split(noise, _BATCH)
        ]
        return _frechet(self._scale * self._features(torch.cat(made).float().cpu()), self._real)

    def _features(self, frames: Tensor) -> Tensor:
        batches = torch.split(2.0 * frames[:, None] - 1.0, _BATCH)
        return torch.cat([self._judge.features(batch) for batch in batches]).double()


def _frechet(one: Tensor, other: Tensor) -> float:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) of features `[N, F]`."""
    difference, a, b = one.mean(0) - other.mean(0), torch.cov(one.T), torch.cov(other.T)
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    both = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0.0).sqrt().sum()
    return float((difference @ difference + a.trace() + b.trace() - 2.0 * both).clamp(min=0.0))
