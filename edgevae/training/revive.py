"""Dead layers begin anew: `python -m edgevae.training.revive CHECKPOINT DATA -o OUT`, then `train --from OUT`.

A ReLU whose input is negative on everything gives 0 and learns nothing ever after. Where the learning rate was too high
for a while, that is most of a layer: the network then works with what is left, and its figures do not say so. Here what
is dead is drawn again, and begins with no say in the result, so that the network does the same as before:

    a block of which little is alive      first convolution anew, second one 0: it gives what it is given
    all that a head sees                  its whole branch anew, and the head's weights 0; its biases stay
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import torch
from torch import nn

from edgevae.errors import EdgeVaeError, InputError
from edgevae.nn.blocks import MemBlock, ResBlock
from edgevae.nn.checkpoint import load_checkpoint, save_checkpoint
from edgevae.nn.patches import PatchDecoder, PatchEncoder
from edgevae.nn.vae import Vae
from edgevae.training.alive import DEAD_SHARE, alive_shares
from edgevae.training.config import TrainConfig
from edgevae.training.data import clip_tensor, open_data
from edgevae.training.module import to_unit_range

CLIPS = 16
"""Clips that it is measured on."""


def revive(vae: Vae, alive: dict[str, float], *, seed: int) -> tuple[str, ...]:
    """Draw what is dead again, in place, and return its names.

    What the network gives changes by what these layers gave, which is next to nothing.

    Args:
        vae: The network.
        alive: By the layers' names, as `alive_shares` has it.
        seed: Of the new weights.

    Raises:
        InputError: the network does not work on patches.
    """
    halves = {"encoder": vae.encoder, "decoder": vae.decoder}
    drawn = list[str]()
    generator = torch.Generator().manual_seed(seed)
    for half, network in halves.items():
        if not isinstance(network, PatchEncoder | PatchDecoder):
            raise InputError(
                "revive: got a network on pixels, expected one on patches (`components` above 0)"
            )
        if alive[f"{half}.head"] < DEAD_SHARE:
            _draw(network.stem, generator)
            nn.init.zeros_(network.head.weight)
            drawn.append(f"{half}.stem")
        for name, block in _blocks(network, half):
            dead = min(alive[f"{name}.conv1"], alive[f"{name}.conv2"]) < DEAD_SHARE
            if dead or f"{half}.stem" in drawn:
                _draw(block.conv1, generator)
                for weights in block.conv2.parameters():
                    nn.init.zeros_(weights)
                drawn.append(name)
    return tuple(drawn)


def _blocks(network: nn.Module, half: str) -> Iterator[tuple[str, ResBlock | MemBlock]]:
    for name, module in network.named_modules():
        if isinstance(module, ResBlock | MemBlock):
            yield f"{half}.{name}", module


def _draw(conv: nn.Conv2d, generator: torch.Generator) -> None:
    """He's initialisation, as networks here begin with."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
    assert conv.bias is not None, "our convolutions have biases"
    nn.init.zeros_(conv.bias)


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--seed", default=0, show_default=True, help="Decides the new weights.")
def main(checkpoint: Path, data: str, output: Path, seed: int) -> None:
    """Write CHECKPOINT with what is dead in it on the videos in DATA drawn again."""
    try:
        if output.exists():
            raise InputError(f"{output}: is there already; give another folder")
        vae = load_checkpoint(checkpoint)
        config = TrainConfig(model=vae.config, clip_frames=8, cache_mib=2048)
        source = open_data(data, None, config).source
        clips = (to_unit_range(clip_tensor(source.clip(i))[None]) for i in range(CLIPS))
        alive = alive_shares(vae, clips)
        drawn = revive(vae, alive, seed=seed)
        for name, share in alive.items():
            click.echo(f"{share:6.1%} alive before {name}")
        click.echo(f"drawn again: {', '.join(drawn) or 'nothing'}")
        save_checkpoint(vae, output)
    except EdgeVaeError as error:
        click.echo(f"edgevae: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
