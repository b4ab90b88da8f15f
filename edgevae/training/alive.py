"""Whether the layers of a network still say something: a ReLU that is always 0 learns nothing, and no loss tells.

What dies, dies of steps that are too large, in the first hundreds of them; `edgevae.training.revive` draws it again.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from tqdm import tqdm

from edgevae.nn.vae import Vae
from edgevae.training.keeper import training_of
from edgevae.training.module import reconstruct, to_unit_range

DEAD_SHARE = 0.02
"""A layer is dead where less than this share of what it sees says something."""


def alive_shares(vae: Vae, clips: Iterable[Tensor]) -> dict[str, float]:
    """Return the share of values that say something in what each convolution sees, by its name; the mean over clips.

    That is neither 0 nor the same at every place of a clip.

    Args:
        vae: The network.
        clips: `[B, T, 3, H, W]` in -1..1.
    """
    found: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack, torch.no_grad():
        for name, module in vae.named_modules():
            if isinstance(module, nn.Conv2d):
                seen = found.setdefault(name, [])

                def note(
                    _module: nn.Module, given: tuple[Tensor], seen: list[float] = seen
                ) -> None:
                    (x,) = given
                    varies = x.amax((0, 2, 3), keepdim=True) > x.amin((0, 2, 3), keepdim=True)
                    seen.append(float(((x != 0) & varies).float().mean()))

                stack.callback(module.register_forward_pre_hook(note).remove)
        for clip in clips:
            reconstruct(vae, clip)
    return {name: sum(shares) / len(shares) for name, shares in found.items() if shares}


class Vitality(Callback):
    """Says which layers have died, once for each, after a validation. Only in the first process.

    Args:
        clips: uint8 `[B, T, 3, H, W]`, to measure on.
    """

    def __init__(self, clips: Tensor) -> None:
        self.clips = clips
        self.said = set[str]()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        training = training_of(module)
        if training.train_config.principal_patches and training.step == 0:
            return  # branches beside a linear start have not begun
        shown = to_unit_range(self.clips.to(training.device))
        shares = alive_shares(training.average, [shown])
        dead = [name for name, share in shares.items() if share < DEAD_SHARE]
        for name in sorted(set(dead) - self.said):
            tqdm.write(
                f"step {training.step}: {name} is dead: {shares[name]:.1%} of what it sees is neither 0 nor the same "
                "everywhere; lower the learning rate, and begin again or revive it (docs/training.md)",
                file=sys.stderr,
            )
        self.said |= set(dead)
