"""TAEHV and relatives: tiny video autoencoders in the latent spaces of large ones, for `edgevae export --module`.

    edgevae export --module edgevae_export.taehv:taew2_1 --checkpoint taew2_1.safetensors -o taew2_1.bundle

    encoder   conv  [pool frames, conv stride 2, memory block x 3] x 3  conv
    decoder   3 tanh(x / 3), conv  [memory block x 3, nearest x 2, grow frames, conv] x 3  relu, conv

A memory block sees the present frame and the one before it; that one is all there is of state. Structure and names of
the weights are those of https://github.com/madebyollin/taehv. Its decoder runs behind: of T latents it gives T times
the temporal factor frames, the first of which (one less than the factor; none in CogVideoX's) come before the clip and
are to be dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.spec import TensorSpec, VaeSpec
from edgevae_export.diffusers.causal import join, split
from edgevae_export.diffusers.tiny import decoder_halo_cells, encoder_halo_px

ENCODER_CHANNELS = (64, 64, 64)
DECODER_CHANNELS = (256, 128, 64)


class Memory(nn.Module):
    """`MemBlock`: three convolutions over a frame and the one before it, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * channels, channels),
            nn.ReLU(),
            _conv(channels, channels),
            nn.ReLU(),
            _conv(channels, channels),
        )

    def forward(self, x: Tensor, past: Tensor, *, times: int) -> tuple[Tensor, Tensor]:
        frames = split(x, times)
        before = join([past, *frames[:-1]])
        return F.relu(self.conv(torch.cat([x, before], dim=1)) + x), frames[-1]


class Pool(nn.Module):
    """`TPool`: so many frames become one."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv2d(channels * frames, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        if self.frames > 1:
            x = x.reshape(-1, self.frames * channels, height, width)
        result: Tensor = self.conv(x)
        return result


class Grow(nn.Module):
    """`TGrow`: one frame becomes so many. Of weights that were trained for more the last frames' are taken."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.channels, self.frames = channels, frames
        self.conv = nn.Conv2d(channels, channels * frames, 1, bias=False)
        self.register_load_state_dict_pre_hook(self._cut)  # type: ignore[no-untyped-call]  # untyped in torch

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.frames > 1:
            x = x.reshape(-1, self.channels, *x.shape[2:])
        return x

    def _cut(self, _: nn.Module, state: dict[str, Tensor], prefix: str, *__: Any) -> None:
        weight = state.get(f"{prefix}conv.weight")
        if weight is not None:
            state[f"{prefix}conv.weight"] = weight[-self.channels * self.frames :]


class Clamp(nn.Module):
    """Latents softly kept within -3..3."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class Taehv(nn.Module):
    """Encoder and decoder, as `edgevae export --module` takes them.

    Args:
        channels: C of the latents.
        patch: Pixels to a side of what the first and the last convolution see as one.
        halves_time: Of encoder stages; the decoder's doublings are the same, from the other end.
    """

    def __init__(
        self, *, channels: int, patch: int = 1, halves_time: tuple[bool, ...] = (True, True, False)
    ) -> None:
        super().__init__()
        self.patch, pixels = patch, 3 * patch**2
        # As a convolution, because the exporter would write pixel_unshuffle with computed shapes.
        patches = torch.eye(pixels).reshape(pixels, 3, patch, patch)
        self.patches = nn.Buffer(patches, persistent=False)
        first, last = ENCODER_CHANNELS[0], 64
        encoder: list[nn.Module] = [_conv(pixels, first), nn.ReLU()]
        for width, halves in zip(ENCODER_CHANNELS, halves_time, strict=True):
            encoder += [Pool(width, 2 if halves else 1), _conv(width, width, stride=2, bias=False)]
            encoder += [Memory(width) for _ in range(3)]
        self.encoder = nn.Sequential(*encoder, _conv(ENCODER_CHANNELS[-1], channels))
        decoder: list[nn.Module] = [Clamp(), _conv(channels, DECODER_CHANNELS[0]), nn.ReLU()]
        following = (*DECODER_CHANNELS[1:], last)
        for width, after, doubles in zip(
            DECODER_CHANNELS, following, reversed(halves_time), strict=True
        ):
            decoder += [Memory(width) for _ in range(3)]
            decoder += [nn.Upsample(scale_factor=2.0), Grow(width, 2 if doubles else 1)]
            decoder.append(_conv(width, after, bias=False))
        self.decoder = nn.Sequential(*decoder, nn.ReLU(), _conv(last, pixels))
        self.chunk_frames = 2 ** sum(halves_time)
        self.spec = self._spec(channels, temporal_factor=self.chunk_frames)

    def encode(self, pixels: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return latents and the next state of pixels in -1..1."""
        x = pixels * 0.5 + 0.5
        if self.patch > 1:
            x = F.conv2d(x.to(self.patches.dtype), self.patches, stride=self.patch)
        return self._run(self.encoder, x, state, times=self.chunk_frames)

    def decode(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return pixels in -1..1 and the next state; a clip's first frames are from before it."""
        steps = self.chunk_frames // self.spec.temporal_factor
        x, *following = self._run(self.decoder, latents, state, times=steps)
        if self.patch > 1:
            x = F.pixel_shuffle(x, self.patch)
        return (x.clamp(0, 1) * 2 - 1, *following)

    def _run(
        self, network: nn.Sequential, x: Tensor, state: tuple[Tensor, ...], *, times: int
    ) -> tuple[Tensor, ...]:
        coming, following = iter(state), list[Tensor]()
        for block in network:
            if isinstance(block, Memory):
                x, last = block(x, next(coming), times=times)
                following.append(last)
            else:
                x = block(x)
            if isinstance(block, Pool):
                times //= block.frames
            elif isinstance(block, Grow):
                times *= block.frames
        return (x, *following)

    def _spec(self, channels: int, *, temporal_factor: int) -> VaeSpec:
        cell = 8 * self.patch
        down = [2 * self.patch, 4 * self.patch, cell]
        return VaeSpec(
            temporal_factor=temporal_factor,
            spatial_factor=cell,
            latent_channels=channels,
            encoder_halo_px=encoder_halo_px(self.encoder, cell_px=8) * self.patch,
            decoder_halo_cells=decoder_halo_cells(self.decoder),
            encoder_state=tuple(_states("encoder", ENCODER_CHANNELS, down)),
            decoder_state=tuple(_states("decoder", DECODER_CHANNELS, down[::-1])),
            latent_mean=(0.0,) * channels,
            latent_std=(1.0,) * channels,
        )


def taehv() -> Taehv:
    """Return the network for HunyuanVideo, without weights; also what CogVideoX's taecvx is made of."""
    return Taehv(channels=16)


def taehv1_5() -> Taehv:
    """Return the network for HunyuanVideo 1.5."""
    return Taehv(channels=32, patch=2)


def taew2_1() -> Taehv:
    """Return the network for Wan 2.1."""
    return Taehv(channels=16)


def taew2_2() -> Taehv:
    """Return the network for Wan 2.2's 5B model."""
    return Taehv(channels=48, patch=2)


def taeltx() -> Taehv:
    """Return the network for LTX-2."""
    return Taehv(channels=128, patch=4, halves_time=(True, True, True))


def _conv(channels: int, out: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=bias)


def _states(role: str, widths: tuple[int, ...], scales: list[int]) -> Iterator[TensorSpec]:
    """Yield the description of the frame before, by memory block."""
    for stage, (channels, scale) in enumerate(zip(widths, scales, strict=True)):
        shape = ("batch", channels, f"height/{scale}", f"width/{scale}")
        for block in range(3):
            yield TensorSpec(name=f"{role}_past_{stage}_{block}", dtype="float32", shape=shape)
