"""State and halo of a network, worked out from its layers.

A layer with kernel k, stride s and padding p lets output cell i see input cells s*i - p to s*i - p + k - 1. Outside the
s cells that are its own, these are p on the left and k - p - s on the right; the halo keeps the larger:

    k=6 s=2 p=2      . . [i i] . .        2 and 2
    k=3 s=2 p=1        . [i i]            1 and 0
    k=3 s=1 p=1        . [i] .            1 and 1

Memory does not widen it: the past enters a MemBlock through the same kernel as the present.
"""

from __future__ import annotations

from torch import nn

from edgevae.frames import round_up
from edgevae.nn.blocks import Down, MemBlock, Stem, Up
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.decoder import Decoder
from edgevae.nn.encoder import Encoder
from edgevae.nn.patches import PatchDecoder, PatchEncoder
from edgevae.spec import TensorSpec


def encoder_halo_px(encoder: Encoder | PatchEncoder) -> int:
    """Return how many pixels outside a tile its latents can see, rounded up to whole latent cells."""
    halo = _reach(encoder.head)
    for layer in reversed(list(encoder.network.layers)):
        for module in reversed([m for m in layer.modules() if isinstance(m, nn.Conv2d)]):
            halo = halo * module.stride[0] + _reach(module)
    if isinstance(encoder, PatchEncoder):
        halo = SPATIAL_FACTOR * (halo + _reach(encoder.stem))
    return round_up(halo, SPATIAL_FACTOR)


def decoder_halo_cells(decoder: Decoder | PatchDecoder) -> int:
    """Return how many latent cells outside a tile its frames can see."""
    if isinstance(decoder, PatchDecoder):
        kernels = [m for m in decoder.network.modules() if isinstance(m, nn.Conv2d)]
        return sum(_reach(m) for m in (decoder.stem, *kernels, decoder.head))
    scale, halo_px = (
        2,
        2 * _reach(decoder.head),
    )  # scale: pixels of the output per cell of the layer
    for layer in reversed(list(decoder.network.layers)):
        if isinstance(layer, Up):
            halo_px += scale * _reach(layer.conv_high)
            scale *= 2
            halo_px = round_up(halo_px, scale) + scale * _reach(layer.conv_low)
        else:
            halo_px += scale * sum(_reach(m) for m in layer.modules() if isinstance(m, nn.Conv2d))
    return max(halo_px // scale + _reach(decoder.stem), decoder.linear.kernel_size[0] // 2)


def encoder_state(encoder: Encoder | PatchEncoder) -> tuple[TensorSpec, ...]:
    """Return the caches of the encoder, in the order its network takes them."""
    scale, specs = SPATIAL_FACTOR if isinstance(encoder, PatchEncoder) else 1, list[TensorSpec]()
    for layer in encoder.network.layers:
        if isinstance(layer, (Stem, Down)):
            scale *= 2
        if isinstance(layer, MemBlock):
            specs.append(_cache(f"encoder_past_{len(specs)}", layer.channels, scale))
    return tuple(specs)


def decoder_state(decoder: Decoder | PatchDecoder) -> tuple[TensorSpec, ...]:
    """Return the caches of the decoder, in the order its network takes them."""
    scale, specs = SPATIAL_FACTOR, list[TensorSpec]()
    for layer in decoder.network.layers:
        if isinstance(layer, Up):
            scale //= 2
        if isinstance(layer, MemBlock):
            specs.append(_cache(f"decoder_past_{len(specs)}", layer.channels, scale))
    if isinstance(decoder, PatchDecoder) and decoder.sees_past:
        name, channels = f"decoder_past_{len(specs)}", decoder.stem.in_channels + 1
        specs.append(_cache(name, channels, SPATIAL_FACTOR))
    return tuple(specs)


def _cache(name: str, channels: int, scale: int) -> TensorSpec:
    shape = ("batch", channels, f"height/{scale}", f"width/{scale}")
    return TensorSpec(name=name, dtype="float32", shape=shape)


def _reach(module: nn.Conv2d) -> int:
    kernel, stride, padding = module.kernel_size[0], module.stride[0], module.padding[0]
    assert isinstance(padding, int), "our layers give their padding in numbers"
    return max(padding, kernel - padding - stride)
