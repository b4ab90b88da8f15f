"""Start the encoder's linear map at patches that overlap: what a cell need not say because its neighbours do.

Principal components are the best code of a patch that is read by itself. A decoder that reads nine cells at once wants
another one: each cell then sees 24 x 24 pixels, and encoder and decoder are fitted together. For a network that works
on patches (`edgevae.nn.patches`):

    c    components of each patch, K of them, each divided by its deviation
    z = A * c     3x3 cells of K numbers to C                                    encoder.linear
    c' = B * z    3x3 cells of C numbers, and those of the step before, to K     decoder.linear

        min  mean over clips of log |c' - c|^2      over A and B, by Adam, from the principal components
        min  |c' - c|^2                             over B once more, exactly, by least squares

The logarithm makes it the mean PSNR over clips: else the few busiest would decide. On 50 real videos this took half a
minute on one core and gave 0.2 dB on other videos, beyond the same decoder on principal components.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Conv2d
from torch.nn.functional import conv2d, unfold
from tqdm import tqdm

from edgevae.errors import InputError
from edgevae.nn.blocks import one_step_earlier, repeat_edges
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.patches import PatchDecoder, PatchEncoder
from edgevae.nn.vae import Vae
from edgevae.training.principal import (
    LATENT_STD,
    PrincipalComponents,
    patches_of,
    shuffle_order,
    start_log_variance,
)

_EPOCHS, _BATCH, _RATE = 8, 16, 4e-3
_MEASURED_CLIPS = 256
"""Clips that the latents' covariance is taken from, at most."""
_FLOOR = 1e-4
"""Squared error (of values in -1..1) below which a clip need not get better: 46 dB."""
_RIDGE = 1e-4
"""As in `edgevae.training.neighbours`."""


@dataclass(frozen=True)
class Cells:
    """Clips as components, in float32."""

    values: Tensor
    """`[N, t, K, h, w]`, each divided by its deviation."""
    missed: Tensor
    """`[N]`, mean squared error of a clip that K components leave."""


def cells_of(
    clips: Iterable[Tensor], components: PrincipalComponents, *, temporal_factor: int
) -> Cells:
    """Return clips `[B, T, 3, H, W]` in -1..1, all of one size, as components."""
    scale, values, missed = components.scale.float(), list[Tensor](), list[Tensor]()
    for clip in clips:
        b, _, _, h, w = clip.shape
        centred = patches_of(clip, temporal_factor=temporal_factor) - components.mean.float()
        cells = centred @ components.vectors.float().T
        lost = centred.square().sum(1) - cells.square().sum(1)
        grid = (b, clip.shape[1] // temporal_factor, h // SPATIAL_FACTOR, w // SPATIAL_FACTOR)
        values.append((cells / scale).reshape(*grid, -1).permute(0, 1, 4, 2, 3).contiguous())
        missed.append(lost.reshape(b, -1).mean(1) / centred.shape[1])
    return Cells(torch.cat(values), torch.cat(missed))


def start_overlapped(
    vae: Vae, components: PrincipalComponents, cells: Cells, *, noise_share: float, seed: int
) -> None:
    """Make a network on patches the best overlapped transform: linear maps set, the heads beside them zero.

    Args:
        vae: The network; changed in place.
        components: As many as it works on.
        cells: Training clips in these components.
        noise_share: As in `edgevae.training.principal.start_at_components`.
        seed: Decides the order of the clips.

    Raises:
        InputError: there are fewer cells than numbers that a cell is made from.
    """
    encoder, decoder = vae.encoder, vae.decoder
    assert isinstance(encoder, PatchEncoder), "components are above 0"
    assert isinstance(decoder, PatchDecoder), "components are above 0"
    whiten = components.vectors / components.scale[:, None]
    colour = components.vectors * components.scale[:, None]
    analysis = _fit_analysis(vae, components, cells, seed=seed)
    c = vae.config.latent_channels
    with torch.no_grad():
        down = whiten.reshape(encoder.patches.weight.shape)
        _set(encoder.patches, down, -whiten @ components.mean)
        _set(encoder.linear, analysis, torch.zeros(c))
        _set(decoder.linear, *_least_squares(decoder, analysis, cells))
        up = shuffle_order(colour).T[:, :, None, None]
        _set(decoder.basis, up, shuffle_order(components.mean[None])[0])
        for head in (encoder.head, decoder.head):
            _set(head, torch.zeros_like(head.weight), torch.zeros(head.out_channels))
        assert encoder.head.bias is not None
        encoder.head.bias[c:] = start_log_variance(components.first(c), noise_share=noise_share)


@torch.enable_grad()
def _fit_analysis(vae: Vae, components: PrincipalComponents, cells: Cells, *, seed: int) -> Tensor:
    """Return A, `[C, K, 3, 3]`, for latents of the deviation that they start with."""
    c, k, decoder = vae.config.latent_channels, len(components.vectors), vae.decoder
    analysis, synthesis = torch.zeros(c, k, 3, 3), torch.zeros_like(decoder.linear.weight)
    for kernel in (analysis, synthesis):  # the principal components: 1 in the cell's own middle
        kernel.diagonal()[1, 1].fill_(1.0)
    kernels = [analysis.requires_grad_(), synthesis.requires_grad_()]
    adam = torch.optim.Adam(kernels, lr=_RATE, betas=(0.9, 0.98))
    share = components.scale.float().square().reshape(-1, 1, 1) / components.mean.numel()
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(cells.values), generator=generator) for _ in range(_EPOCHS)]
    firsts = range(0, len(cells.values), _BATCH)
    batches = [order[first : first + _BATCH] for order in orders for first in firsts]
    shown = tqdm(batches, desc="overlap", unit="step", leave=False, file=sys.stderr)
    for step, chosen in enumerate(shown):
        cosine = 0.5 * (1 + math.cos(math.pi * step / len(batches)))
        adam.param_groups[0]["lr"] = _RATE * cosine * min(1.0, (step + 1) / 20)
        source = cells.values[chosen]
        latents = _over_cells(source.flatten(0, 1), analysis)
        seen = _with_past(latents, steps=source.shape[1]) if decoder.sees_past else latents
        error = (_over_cells(seen, synthesis).reshape(source.shape) - source).square() * share
        mean = error.sum(2).flatten(1).mean(1) + cells.missed[chosen]
        adam.zero_grad()
        torch.autograd.backward(torch.log(mean + _FLOOR).mean())
        adam.step()
    with torch.no_grad():
        stride = -(-len(cells.values) // _MEASURED_CLIPS)
        latents = _over_cells(cells.values[::stride].flatten(0, 1), analysis)
        weighed = synthesis[:, :c] * share.sqrt()[..., None]
        return torch.einsum("dc,ckyx->dkyx", _in_order(latents, weighed), analysis)


def _in_order(latents: Tensor, synthesis: Tensor) -> Tensor:
    """Return a map `[C, C]` of latents to such as are uncorrelated, of one deviation, the most important ones first.

    What linear codes say together does not depend on the axes they say it in. Along the eigenvectors of
    S^(1/2) G S^(1/2), for the latents' covariance S and the energy G that they have in the picture, the first n axes
    are the best n.

    Args:
        latents: `[N, C, h, w]`.
        synthesis: Kernels `[K, C, 3, 3]` to components, in units of the picture.
    """
    values = latents.transpose(0, 1).flatten(1).double()
    columns = synthesis.transpose(0, 1).flatten(1).double()  # [C, K * 9]
    size, turn = torch.linalg.eigh(torch.cov(values))
    size = size.clamp_min(1e-12 * size[-1]).sqrt()
    root = (turn * size) @ turn.T
    _, axes = torch.linalg.eigh(root @ (columns @ columns.T) @ root)
    whitened: Tensor = LATENT_STD * axes.flip(1).T @ (turn / size) @ turn.T
    return whitened.float()


def _least_squares(decoder: PatchDecoder, analysis: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """Return B, `[K, C or 2C, 3, 3]`, and its bias `[K]`."""
    size, count = decoder.linear.weight[0].numel() + 1, cells.values.shape[2]
    gram = torch.zeros(size, size, dtype=torch.float64)
    target = torch.zeros(size, count, dtype=torch.float64)
    for first in range(0, len(cells.values), _BATCH):
        source = cells.values[first : first + _BATCH]
        latents = _over_cells(source.flatten(0, 1), analysis)
        latents = decoder.latent_bound * torch.tanh(latents / decoder.latent_bound)
        seen = _with_past(latents, steps=source.shape[1]) if decoder.sees_past else latents
        around = unfold(repeat_edges(seen), 3).transpose(1, 2).flatten(0, 1)
        inputs = torch.cat([around, torch.ones_like(around[:, :1])], 1)
        gram += (inputs.T @ inputs).double()
        target += (inputs.T @ source.permute(0, 1, 3, 4, 2).reshape(-1, count)).double()
    if float(gram[-1, -1]) < size:
        raise InputError(
            f"overlapped transform: got {gram[-1, -1]:.0f} cells, expected at least {size}; give more data"
        )
    gram.diagonal()[:-1].add_(_RIDGE * gram.diagonal()[:-1].mean())
    solution = torch.linalg.solve(gram, target).T  # [K, 9 * (C or 2C) + 1]
    return solution[:, :-1].reshape(decoder.linear.weight.shape), solution[:, -1]


def _over_cells(x: Tensor, kernel: Tensor) -> Tensor:
    return conv2d(repeat_edges(x), kernel)


def _with_past(latents: Tensor, *, steps: int) -> Tensor:
    """Return latents `[N*t, C, h, w]` and those of the step before, the first standing in for its own past."""
    before, _ = one_step_earlier(latents, latents[::steps], steps)
    return torch.cat([latents, before], 1)


def _set(module: Conv2d, weight: Tensor, bias: Tensor) -> None:
    assert module.bias is not None, "our convolutions have biases"
    module.weight.copy_(weight)
    module.bias.copy_(bias)
