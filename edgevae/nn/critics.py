"""The critics of a generator: one sees single frames whole, the other whole clips at half their size.

Unlike the judge of a reconstruction (`discriminator.py`), which looks at texture everywhere, these answer once for all
that they see: which digit it is, and whether two frames belong together, no patch can tell.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHANGE_GAIN = 2.0
"""On what changes from frame to frame, beside the first frame itself."""
_SLOPE = 0.2
_WIDEST = 128


class Critic(nn.Module):
    """Pictures `[N, C, 64, 64]` or smaller in -1..1 to one logit each `[N]`, above 0 for real.

    Where in the picture something is tells nothing: mean and maximum over it are all that is left of the place.
    """

    def __init__(self, channels_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = zip((channels_in, *widths), (*widths, _WIDEST), strict=False)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.last = nn.Conv2d(_WIDEST, _WIDEST, 3, padding=1)
        self.hidden, self.head = nn.Linear(2 * _WIDEST, _WIDEST), nn.Linear(_WIDEST, 1)

    def features(self, pictures: Tensor) -> Tensor:
        """Return what is judged, `[N, 256]`."""
        x = pictures
        for layer in (*self.layers, self.last):
            x = F.leaky_relu(layer(x), _SLOPE)
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.hidden(self.features(pictures)), _SLOPE)
        logits: Tensor = self.head(hidden)
        return logits[:, 0]


class Critics(nn.Module):
    """A critic of frames and one of clips.

    Args:
        width: Channels of the first convolution of the one that sees frames.
        frames: Of a clip.
    """

    def __init__(self, *, width: int, frames: int) -> None:
        super().__init__()
        self.of_frames = Critic(1, (width, 2 * width, 4 * width))
        self.of_clips = Critic(frames, (2 * width, 4 * width))

    def views(self, clips: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each critic sees of grey clips `[B, T, H, W]` in 0..1.

        Args:
            clips: Real ones or made ones.
            chosen: Which frame of each is judged by itself, `[B]`.
        """
        levels = 2.0 * clips.float() - 1.0
        one = levels[torch.arange(len(levels), device=levels.device), chosen][:, None]
        changes = _CHANGE_GAIN * (levels[:, 1:] - levels[:, :-1])
        return one, F.avg_pool2d(torch.cat([levels[:, :1], changes], 1), 2)

    def forward(self, views: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits of frames and of clips, `[B]` each."""
        return self.of_frames(views[0]), self.of_clips(views[1])


def critics_loss(real: tuple[Tensor, ...], made: tuple[Tensor, ...]) -> Tensor:
    """Return the logistic loss of telling real from made (Goodfellow et al. 2014), summed over the critics."""
    terms = [
        F.softplus(-r.float()).mean() + F.softplus(m.float()).mean()
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(terms).sum()


def generator_loss(made: tuple[Tensor, ...]) -> Tensor:
    """Return what a generator is trained on: the same where it does not saturate, summed over the critics."""
    return torch.stack([F.softplus(-m.float()).mean() for m in made]).sum()


def slope_penalty(logits: tuple[Tensor, ...], views: tuple[Tensor, ...]) -> Tensor:
    """Return the mean squared slope of the critics at real samples (R1: Mescheder et al. 2018, eq. 9), summed."""
    terms = list[Tensor]()
    for said, seen in zip(logits, views, strict=True):
        (slope,) = torch.autograd.grad(said.sum(), seen, create_graph=True)
        terms.append(slope.square().sum((1, 2, 3)).mean())
    return torch.stack(terms).sum()
