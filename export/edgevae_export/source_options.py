"""Options with which a command is told what network it works on, and on which frames: those of export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevae.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from edgevae.frames import Frames
    from edgevae_export.exportable import Source

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are


def source_options(function: F) -> F:
    """Add CHECKPOINT, --module, --checkpoint, --chunk-frames and --calibration."""
    options = (
        click.argument("checkpoint", metavar="[CHECKPOINT]", required=False),
        click.option(
            "--module",
            help="Take what a function of yours builds, package.mod:build, in the place of CHECKPOINT.",
        ),
        click.option(
            "--checkpoint",
            "weights",
            type=click.Path(path_type=Path),
            help="The weights for --module, in safetensors.",
        ),
        click.option(
            "--chunk-frames",
            type=click.IntRange(min=1),
            help="Frames per call; a multiple of the temporal factor.",
        ),
        click.option(
            "--calibration",
            type=click.Path(path_type=Path),
            help="A clip to check on, instead of the package's own.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def open_named(checkpoint: str | None, module: str | None, weights: Path | None) -> Source:
    """Return the VAE that the options name.

    Raises:
        InputError: not exactly one of CHECKPOINT and --module, or what they name cannot be exported.
        UnavailableError: PyTorch, or a library that the model needs, is not installed.
    """
    if (checkpoint is None) == (module is None):
        raise InputError("expected either CHECKPOINT or --module")
    if weights is not None and module is None:
        raise InputError("--checkpoint: goes with --module; a folder is given as CHECKPOINT alone")
    try:
        from edgevae_export.sources import open_source
        from edgevae_export.user_module import open_module
    except ImportError as error:
        raise UnavailableError(
            f"export: {error}; install it with `pip install 'edgevae[export]'`"
        ) from error
    return open_module(module, weights) if module else open_source(str(checkpoint))


def first_frames(clip: Path, *, most: int = 16) -> Frames:
    """Return the first frames of a clip, uint8 `[T, H, W, 3]`.

    Raises:
        InputError: the clip has none.
        UnavailableError: PyAV is not installed.
    """
    import numpy as np

    try:
        from edgevae.video import open_video
    except ImportError as error:
        raise UnavailableError(
            f"video: {error}; install it with `pip install 'edgevae[video]'`"
        ) from error
    groups, count = [], 0
    with open_video(clip) as reader:
        for group in reader:
            groups.append(group.frames)
            count += len(group.frames)
            if count >= most:
                break
    if not groups:
        raise InputError(f"{clip}: holds no frame; give a clip with pictures")
    return np.concatenate(groups)[:most]
