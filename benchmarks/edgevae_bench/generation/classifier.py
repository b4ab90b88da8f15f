"""A classifier of moving digits: which two of the ten a 64 x 64 frame shows. Learnt here, from MNIST, in two minutes.

frames of training digits, any two, anywhere -> convolutions -> mean and maximum over the picture -> 128 -> 55 pairs

The 128 numbers are the features in which sets of clips are compared. The same seed gives the same classifier on the
same machine; its file keeps it for other runs, and its digest stands in their results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from edgevae.errors import InputError, IntegrityError
from edgevae.files import sha256, write_atomically
from edgevae.moving_mnist import MovingMnist
from edgevae_bench.generation.clips import pairs_of
from edgevae_bench.generation.figures import PAIRS, Floats, Grey

FEATURES = 128
STEPS, BATCH, PEAK_RATE = 2000, 64, 3e-3
"""Of the training: 128,000 frames."""
_WIDTH = 16
_BATCH_READ = 250


@dataclass(frozen=True)
class Readings:
    """What a classifier sees in clips, frame by frame."""

    features: Floats
    """`[N, T, 128]`."""
    probabilities: Floats
    """`[N, T, 55]`, in the order of `PAIRS`."""


class _Network(nn.Module):
    """Grey frames `[N, 1, H, W]` in 0..1 to features `[N, 128]` and logits `[N, 55]`."""

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        shapes = [(1, 1, 2), (1, 2, 2), (2, 4, 1), (4, 4, 2), (4, 8, 1), (8, 8, 1)]
        self.layers = nn.Sequential(
            *(
                layer
                for i, (a, b, stride) in enumerate(shapes)
                for layer in (
                    nn.Conv2d(
                        a * width if i else 1, b * width, 3, stride=stride, padding=1, bias=False
                    ),
                    nn.BatchNorm2d(b * width),
                    nn.ReLU(),
                )
            )
        )
        self.features = nn.Linear(16 * width, FEATURES)
        self.pairs = nn.Linear(FEATURES, len(PAIRS))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers(frames)
        features = F.relu(self.features(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))
        return features, self.pairs(features)


class Classifier:
    """A network that was trained, and the digest of its weights."""

    def __init__(self, network: _Network) -> None:
        self._network = network.eval()
        self._bytes: bytes = save(network.state_dict())

    @property
    def sha256(self) -> str:
        """Digest of the weights."""
        return sha256(self._bytes)

    @torch.inference_mode()
    def read(self, clips: Grey) -> Readings:
        """Return features and probabilities of grey clips `[N, T, 64, 64]`."""
        features, logits = list[Tensor](), list[Tensor]()
        for batch in torch.split(torch.from_numpy(clips).flatten(0, 1), _BATCH_READ):
            seen, said = self._network(_input(batch))
            features.append(seen)
            logits.append(said)
        shape = clips.shape[:2]
        probabilities = torch.softmax(torch.cat(logits).double(), -1)
        return Readings(
            torch.cat(features).double().reshape(*shape, -1).numpy(),
            probabilities.reshape(*shape, -1).numpy(),
        )

    def save(self, path: Path) -> None:
        """Write the weights; the file is whole or absent."""
        write_atomically(path, self._bytes)


def load_classifier(path: Path) -> Classifier:
    """Return a classifier that was saved.

    Raises:
        InputError: the file holds another network.
        IntegrityError: it is damaged.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(
            f"{path}: damaged ({error}); delete it, and it is made again"
        ) from error
    network = _Network()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"{path}: holds no such classifier; delete it, and it is made again"
        ) from error
    return Classifier(network)


def train_classifier(
    source: MovingMnist,
    labels: Grey,
    *,
    steps: int = STEPS,
    done: Callable[[int], Any] = lambda _: None,  # Any: what a progress bar returns
) -> Classifier:
    """Return a classifier of single frames of a source's clips.

    Args:
        source: Of training digits; its seed decides everything.
        labels: What the source's digits are, `[N]`, 0..9.
        steps: Of 64 frames.
        done: Told after each step that one is done.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        network = _Network()
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1
    )
    for step in range(steps):
        frames = source.batch(step * BATCH, BATCH, frames=1)[:, 0]
        wanted = torch.from_numpy(pairs_of(source, labels, step * BATCH, BATCH))
        _, said = network(_input(torch.from_numpy(frames)))
        optimizer.zero_grad()
        F.cross_entropy(said, wanted).backward()  # type: ignore[no-untyped-call]  # torch's stubs
        optimizer.step()
        schedule.step()
        done(1)
    return Classifier(network.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]  # as above


def _input(frames: Tensor) -> Tensor:
    """Return uint8 frames `[N, H, W]` as the network takes them."""
    pixels = frames.float()[:, None] / 255.0
    return pixels.contiguous(memory_format=torch.channels_last)
