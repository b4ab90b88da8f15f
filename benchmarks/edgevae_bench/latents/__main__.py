"""`python -m edgevae_bench.latents MODEL A B -o page.html`: what lies between two clips, and what channels say."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

import edgevae
from edgevae.errors import InputError
from edgevae.files import atomic_file, write_atomically
from edgevae.frames import Frames
from edgevae.runtime.shipped import locate
from edgevae_bench.latents.board import board, strip
from edgevae_bench.latents.page import Looked, to_html, way_boards
from edgevae_bench.latents.walks import traversals, way
from edgevae_bench.module_command import check_outputs, run

OFFSETS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Of a channel, in its deviations."""
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("model")
@click.argument("a", type=_PATH)
@click.argument("b", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="The page to write, .html.")
@click.option("--picture", type=_PATH, help="Write the way and the channels as a PNG too.")
@click.option("--steps", type=click.IntRange(min=2), default=7, show_default=True)
@click.option("--frames", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--side", type=click.IntRange(min=8), default=256, show_default=True)
@click.option("--channels", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--checkpoint", help="For the KL divergence, where MODEL is no shipped name.")
def command(
    model: str,
    a: Path,
    b: Path,
    output: Path,
    picture: Path | None,
    steps: int,
    frames: int,
    side: int,
    channels: int,
    checkpoint: str | None,
) -> None:
    """Look into the latents of MODEL, the name of a shipped VAE or a bundle, by two videos or pictures A and B.

    Of both the first --frames frames are taken, and of these the middle, --side pixels at most.
    """
    check_outputs(output, picture=picture)
    clips = _alike(_begin(a, frames=frames), _begin(b, frames=frames), side=side)
    with edgevae.load(model) as vae:
        name, count = vae.name, vae.spec.latent_channels
        between = way(vae, *clips, steps=steps)
        chosen = tuple(range(min(channels, count)))
        moved = traversals(vae, clips[0], channels=chosen, offsets=OFFSETS)
    kl, missing = _kl(model, checkpoint, clips)
    looked = Looked(
        model=name,
        names=(a.name, b.name),
        way=between,
        offsets=OFFSETS,
        traversals=moved,
        kl_nats=kl,
        kl_missing=missing,
    )
    write_atomically(output, to_html(looked).encode())
    if picture is not None:
        _write_picture(looked, picture)
    click.echo(output)


def _begin(path: Path, *, frames: int) -> Frames:
    """Return the first frames of a video, or a picture as often."""
    from edgevae.video import open_video

    with open_video(path, group_frames=frames) as source:
        clip = next(iter(source)).frames
    if len(clip) == 1:
        return np.repeat(clip, frames, axis=0)
    return clip


def _alike(a: Frames, b: Frames, *, side: int) -> tuple[Frames, Frames]:
    """Return the middle of both, as long and as large as the smaller one."""
    t, h, w = (min(a.shape[i], b.shape[i]) for i in range(3))
    h, w = min(h, side), min(w, side)

    def middle(clip: Frames) -> Frames:
        top, left = (clip.shape[1] - h) // 2, (clip.shape[2] - w) // 2
        return np.ascontiguousarray(clip[:t, top : top + h, left : left + w])

    return middle(a), middle(b)


def _kl(
    model: str, checkpoint: str | None, clips: tuple[Frames, Frames]
) -> tuple[tuple[float, ...] | None, str]:
    """Return the KL divergence of every channel, or why there is none."""
    try:
        folder = locate(checkpoint or model, part="checkpoint")
    except InputError as error:
        if checkpoint is not None:
            raise
        return None, f"{error}"
    if not (folder / "config.json").is_file():
        return None, "it needs the checkpoint, which --checkpoint names"
    try:
        from edgevae_bench.baseline_posterior import kl_by_channel
    except ImportError as error:
        return None, f"it needs PyTorch ({error})"
    return kl_by_channel(folder, list(clips)), ""


def _write_picture(looked: Looked, path: Path) -> None:
    from PIL import Image

    made, faded = way_boards(looked)
    gap = np.full((made.shape[0], 8, 3), 110, np.uint8)
    parts = [
        np.concatenate([made, gap, faded], 1),
        board([strip(t.frames) for t in looked.traversals]),
    ]
    width = max(part.shape[1] for part in parts)
    whole = [
        np.pad(p, ((0, 8), (0, width - p.shape[1]), (0, 0)), constant_values=110) for p in parts
    ]
    with atomic_file(path) as partial:
        Image.fromarray(np.concatenate(whole)).save(partial, format="PNG", optimize=True)


if __name__ == "__main__":
    run(command, name="edgevae_bench.latents")
