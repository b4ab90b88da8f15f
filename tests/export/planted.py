"""A small network with a planted fault: what one layer adds or multiplies the next normalisation takes away again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgevae.spec import VaeSpec
from edgevae_export.exportable import Source
from edgevae_export.foreign import ForeignVae
from edgevae_export.user_module import Decode, Encode

FAULTS = {"none": (1.0, 0.0), "overflow": (1e6, 0.0), "offset": (1.0, 300.0)}
"""By which the weights of `up.loud` are multiplied, and what is added to its bias."""


class Block(nn.Module):
    """A residual block: normalised in front of each convolution, as in many VAEs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.calm = nn.GroupNorm(2, channels)
        self.loud = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(2, channels)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.loud(torch.relu(self.calm(x)))))
        result: Tensor = x + self.last(hidden)
        return result


class Net(nn.Module):
    """4 x 4 pixels to a cell of 6 channels and back; `up` has the fault."""

    spec = VaeSpec(
        temporal_factor=1,
        spatial_factor=4,
        latent_channels=6,
        encoder_halo_px=None,
        decoder_halo_cells=None,
        encoder_state=(),
        decoder_state=(),
        latent_mean=(0.0,) * 6,
        latent_std=(1.0,) * 6,
    )

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.blocks = nn.ModuleList(Block(6) for _ in range(2))
        self.up = Block(6)
        self.head = nn.ConvTranspose2d(6, 3, 4, stride=4)

    def encode(self, pixels: Tensor) -> Tensor:
        x = self.stem(pixels)
        for block in self.blocks:
            x = block(x)
        return x

    def decode(self, latents: Tensor) -> Tensor:
        result: Tensor = self.head(self.up(latents))
        return result


@torch.no_grad()
def planted(fault: str) -> Source:
    """Return the network with a fault of `FAULTS`, as what is exported; the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net().eval()
    factor, offset = FAULTS[fault]
    net.up.loud.weight *= factor
    net.up.loud.bias *= factor
    net.up.loud.bias += offset
    return source_of(net, name=f"planted-{fault}")


def source_of(
    net: Any, *, name: str = "net"
) -> Source:  # Any: a module with spec, encode and decode
    """Return a network as what is exported."""
    foreign = ForeignVae(
        spec=net.spec,
        encoder=Encode(net),
        decoder=Decode(net),
        whole=None,
        own=net,
        has_log_variance=False,
    )
    return Source(foreign, name, "0" * 64, library=None)
