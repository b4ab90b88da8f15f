"""LPIPS: how different two pictures look, as features of a classifier tell it (Zhang et al. 2018), version 0.1.

The weights are not ours to ship: the user gives them as one safetensors file (docs/training.md says how it is made).

    features.N.weight, features.N.bias    torchvision's vgg16 or alexnet, trained on ImageNet, N as there
    linK.model.1.weight                   LPIPS' own, K = 0..4, `[1, C, 1, 1]`

Which of the two networks it is follows from the shape of its first convolution.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgevae.errors import InputError, IntegrityError

MIN_PX = 32
"""Frames with a shorter side are too small for the deepest layers."""
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""From -1..1 to ImageNet's mean and deviation, as LPIPS rounds them."""
_EPSILON = 1e-8
"""On a squared length; the root of 0 has no slope, and the gradient there would be NaN."""

_Conv = tuple[int, int, int, int, int, int]
"""Number in torchvision's `features`, channels in and out, kernel, stride and padding."""
_VGG16: tuple[tuple[_Conv, ...], ...] = (
    ((0, 3, 64, 3, 1, 1), (2, 64, 64, 3, 1, 1)),
    ((5, 64, 128, 3, 1, 1), (7, 128, 128, 3, 1, 1)),
    ((10, 128, 256, 3, 1, 1), (12, 256, 256, 3, 1, 1), (14, 256, 256, 3, 1, 1)),
    ((17, 256, 512, 3, 1, 1), (19, 512, 512, 3, 1, 1), (21, 512, 512, 3, 1, 1)),
    ((24, 512, 512, 3, 1, 1), (26, 512, 512, 3, 1, 1), (28, 512, 512, 3, 1, 1)),
)
_ALEXNET: tuple[tuple[_Conv, ...], ...] = (
    ((0, 3, 64, 11, 4, 2),),
    ((3, 64, 192, 5, 1, 2),),
    ((6, 192, 384, 3, 1, 1),),
    ((8, 384, 256, 3, 1, 1),),
    ((10, 256, 256, 3, 1, 1),),
)
_POOLS = {"vgg16": (2, (1, 2, 3, 4)), "alexnet": (3, (1, 2))}
"""Window of the maximum, always moved by 2, and the stages that it stands before."""


class Lpips(nn.Module):
    """Two batches of pictures to their perceptual distances, 0 for equal ones; about 0.1 to 0.7 for visible faults.

    Args:
        name: vgg16, the usual one as a loss, or alexnet, the usual one as a measure and far cheaper.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.stages = _VGG16 if name == "vgg16" else _ALEXNET
        self.window, self.pooled = _POOLS[name]
        for stage in self.stages:
            for number, c_in, c_out, kernel, stride, padding in stage:
                layer = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=padding)
                self.add_module(f"features_{number}", layer)
        self.linear = nn.ParameterList(torch.zeros(1, stage[-1][2], 1, 1) for stage in self.stages)
        self.register_buffer("shift", torch.tensor(_SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).reshape(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Return the distances `[N]` of pictures `[N, 3, H, W]` in -1..1, H and W at least `MIN_PX`."""
        features = self._features(torch.cat([pictures, others]))
        total = torch.zeros(len(pictures), device=pictures.device)
        for linear, layer in zip(self.linear, features, strict=True):
            one, two = _unit(layer.float()).chunk(2)
            # Not a convolution, which autocast would take in bf16.
            total = total + ((one - two).square() * linear).sum(1).mean((1, 2))
        return total

    def _features(self, pictures: Tensor) -> list[Tensor]:
        x, found = (pictures - self.shift) / self.scale, []
        for index, stage in enumerate(self.stages):
            if index in self.pooled:
                x = F.max_pool2d(x, self.window, 2)
            for number, *_ in stage:
                x = torch.relu(self.get_submodule(f"features_{number}")(x))
            found.append(x)
        return found


def load_lpips(file: str | os.PathLike[str]) -> Lpips:
    """Return LPIPS with the weights of a file, on the CPU, in evaluation mode, without gradients of its own.

    Raises:
        InputError: there is no such file, or its tensors are not those of LPIPS.
        IntegrityError: it is damaged, or no safetensors file.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; expected LPIPS weights in safetensors, which docs/training.md says how to make"
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(
            f"{path}: not a whole safetensors file ({error}); make it as docs/training.md says"
        ) from error
    first = tensors.get("features.0.weight")
    lpips = Lpips("alexnet" if first is not None and first.shape[-1] == 11 else "vgg16")
    expected = {_published(name): name for name in lpips.state_dict() if name not in _FIXED}
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors or name not in expected:
            state = "unknown" if name in tensors else "missing"
            raise InputError(
                f"{path}: tensor {name!r} is {state}, expected LPIPS weights as docs/training.md lists them"
            )
        wanted = lpips.state_dict()[expected[name]].shape
        if tensors[name].shape != wanted:
            raise InputError(
                f"{path}: tensor {name!r} is {list(tensors[name].shape)}, expected {list(wanted)}; "
                "make it as docs/training.md says"
            )
    lpips.load_state_dict({expected[name]: t for name, t in tensors.items()}, strict=False)
    return lpips.eval()


_FIXED = ("shift", "scale")


def _published(name: str) -> str:
    """Return the name that torchvision and LPIPS publish a tensor of ours under."""
    kind, _, rest = name.partition(".")
    if kind == "linear":
        return f"lin{rest}.model.1.weight"
    return f"{kind.replace('_', '.')}.{rest}"


def _unit(features: Tensor) -> Tensor:
    """Return feature vectors `[N, C, H, W]` at length 1, but for those of almost no length, as in flat black."""
    return features / (features.square().sum(1, keepdim=True) + _EPSILON).sqrt()
