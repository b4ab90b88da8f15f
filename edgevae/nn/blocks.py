"""The layers of the networks. Every layer works on clips folded into the batch: `[B*T, C, H, W]`, clip by clip.

Folding keeps all graphs four-dimensional: time is reached by moving it between the first two axes, which is a reshape
without a copy because the frames of a clip are neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps H and W, or divides them by its stride."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)


def one_step_earlier(x: Tensor, past: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return `x` as it was one time step earlier, of the same shape, and the next past.

    Args:
        x: `[B*steps, C, H, W]`.
        past: `[B, C, H, W]`, what came before the first step.
        steps: Time steps per clip in `x`.
    """
    _, c, h, w = x.shape
    clips = x.reshape(-1, steps * c, h, w)
    earlier = torch.cat([past, clips[:, : (steps - 1) * c]], 1).reshape(-1, c, h, w)
    return earlier, clips[:, (steps - 1) * c :]


def repeat_edges(x: Tensor) -> Tensor:
    """Return `[N, C, H+2, W+2]`: the first and last row and column of `[N, C, H, W]` repeated, by plain copies.

    Zeros there would mean the average latent, which is far from what its neighbours say.
    """
    rows = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([rows[:, :, :, :1], rows, rows[:, :, :, -1:]], 3)


class ResBlock(nn.Module):
    """relu(x + conv(relu(conv(x)))): a residual block on each frame by itself. `[N, C, H, W]` to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))


class MemBlock(nn.Module):
    """A residual block that also sees its own input one time step earlier; the cache is passed in and returned.

        time       0     1     2     3
        x          x0    x1    x2    x3         conv1 sees both rows
        earlier    past  x0    x1    x2         and x3 becomes the next chunk's past

    The idea is TAEHV's MemBlock (madebyollin/taehv); the state is ours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv1 = conv(2 * channels, channels)
        self.conv2 = conv(channels, channels)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, past: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return the block's output and its next past.

        Args:
            x: `[B*steps, C, H, W]`.
            past: `[B, C, H, W]`, the input at the step before the first one; zeros at the start of a clip.
            steps: Time steps per clip in `x`.
        """
        earlier, following = one_step_earlier(x, past, steps)
        hidden = torch.relu(self.conv1(torch.cat([x, earlier], 1)))
        return torch.relu(x + self.conv2(hidden)), following


class TimePool(nn.Module):
    """Two time steps become one: `[B*T, C, H, W]` to `[B*T/2, C, H, W]`, by a 1x1 convolution over both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        return torch.relu(self.conv(x.reshape(-1, 2 * c, h, w)))


class TimeGrow(nn.Module):
    """One time step becomes two: `[B*T, C, H, W]` to `[B*T*2, C, H, W]`, by a 1x1 convolution to both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        return torch.relu(self.conv(x)).reshape(-1, c, h, w)


class Down(nn.Module):
    """Halve H and W: `[N, C, H, W]` to `[N, C', H/2, W/2]`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = conv(channels_in, channels_out, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class Up(nn.Module):
    """Double H and W: `[N, C, H, W]` to `[N, C', 2H, 2W]`, by nearest-neighbour up-sampling between two convolutions.

    Not a pixel shuffle: ONNX Runtime 1.31's CPU kernel for it takes longer than a convolution, while up-sampling stays
    in the blocked layout of its neighbours.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv_low = conv(channels_in, channels_out)
        self.conv_high = conv(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        low = torch.relu(self.conv_low(x))
        return torch.relu(self.conv_high(F.interpolate(low, scale_factor=2.0, mode="nearest")))


class Stem(nn.Module):
    """Frames to half size: `[N, 3, H, W]` to `[N, C, H/2, W/2]`.

    A 6x6 convolution with stride 2 is space-to-depth by 2 followed by a 3x3 convolution, in one layer.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 6, stride=2, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class CausalSequential(nn.Module):
    """Layers in order, the caches of those with memory passed in and returned in the same order."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, state: list[Tensor], steps: int) -> tuple[Tensor, list[Tensor]]:
        """Return the last layer's output and the next state.

        Args:
            x: `[B*steps, C, H, W]`.
            state: One cache per `MemBlock`, in order.
            steps: Time steps per clip in `x`.
        """
        pending, following = list(state), []
        for layer in self.layers:
            if isinstance(layer, MemBlock):
                x, past = layer(x, pending.pop(0), steps)
                following.append(past)
            else:
                x = layer(x)
                steps = steps // 2 if isinstance(layer, TimePool) else steps
                steps = steps * 2 if isinstance(layer, TimeGrow) else steps
        return x, following
