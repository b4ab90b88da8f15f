"""A checkpoint to a bundle, whatever it is of: a VAE, a decoder alone, or several senses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgevae.bundle import Bundle, is_bundle
from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.spec import Precision
from edgevae_export import decoder_alone, verify
from edgevae_export.export_vae import Search, Step, export_vae
from edgevae_export.exportable import Source
from edgevae_export.own_senses import SensesSource
from edgevae_export.senses import export_senses
from edgevae_export.sources import open_senses_source, open_source


def steps(precisions: Sequence[Precision], *, parts: int = 0) -> int:
    """Return how many steps `export_bundle` reports for a VAE, or a model with so many parts beside it."""
    return (3 + parts) * len(precisions) + 3 + ("fp16" in precisions)


def export_bundle(
    checkpoint: str | os.PathLike[str] | Source | SensesSource,
    path: str | os.PathLike[str],
    *,
    precisions: Sequence[Precision] = ("fp32", "fp16"),
    chunk_frames: int | None = None,
    log_variance: bool = False,
    name: str | None = None,
    calibration: Frames | None = None,
    gates: verify.Gates | None = None,
    replace_existing: bool = False,
    step: Step = lambda _: None,
    search: Search = lambda _, __: None,
) -> tuple[Bundle, verify.Verification]:
    """Write a bundle of a checkpoint, whole or not at all, and return it with what was measured.

    Args:
        checkpoint: A folder with a checkpoint of ours or a VAE of diffusers, the name of a shipped model, or a VAE; one
            of several senses is checked on windows of its own, and takes no other options than names, gates and paths.
        path: The bundle's folder.
        precisions: Which variants.
        chunk_frames: Frames per call of a graph; by default the temporal factor.
        log_variance: Also give the posterior's log-variance.
        name: The model's name; by default the source's.
        calibration: Real frames uint8 `[T, H, W, 3]` to check on instead of those in the package.
        gates: What must be kept to.
        replace_existing: Put the new bundle in the place of an existing one.
        step: Called before each step with its name.
        search: Called before each run of a search for the layers that must be float32, where one is needed.

    Raises:
        InputError: no checkpoint, or the path exists, or the chunk is no multiple of the temporal factor.
        UnavailableError: the checkpoint needs a library that is not installed.
        ParityError: a graph is off a gate, not valid ONNX, or refused by TensorRT's builder.
    """
    target = Path(path)
    several = checkpoint if isinstance(checkpoint, SensesSource) else None
    if not isinstance(checkpoint, (Source, SensesSource)):
        several = open_senses_source(checkpoint)
    if several is not None:
        _refuse_options_of_frames(several, chunk_frames, log_variance, calibration)
        return export_senses(
            several,
            target,
            precisions=precisions,
            name=name,
            gates=gates,
            replace_existing=replace_existing,
            step=step,
        )
    assert not isinstance(checkpoint, SensesSource), "they were exported above"
    if target.exists() and not (replace_existing and is_bundle(target)):
        raise InputError(f"{target}: exists; give another path, or --overwrite to replace a bundle")
    source = checkpoint if isinstance(checkpoint, Source) else open_source(checkpoint)
    if log_variance and not source.exportable.has_log_variance:
        raise InputError(f"{source.name}: has no log-variance, its encoder gives latents alone")
    gates = gates or verify.Gates()
    if source.roles == decoder_alone.ROLES:
        return decoder_alone.export_decoder(
            source,
            target,
            precisions=precisions,
            chunk_frames=chunk_frames,
            name=name or source.name,
            gates=gates,
            replace_existing=replace_existing,
            step=step,
        )
    return export_vae(
        source,
        target,
        precisions=precisions,
        chunk_frames=chunk_frames,
        log_variance=log_variance,
        name=name or source.name,
        calibration=calibration,
        gates=gates,
        replace_existing=replace_existing,
        step=step,
        search=search,
    )


def _refuse_options_of_frames(
    source: SensesSource, chunk_frames: int | None, log_variance: bool, calibration: Frames | None
) -> None:
    given = {
        "chunk frames": chunk_frames is not None,
        "log-variance": log_variance,
        "calibration": calibration is not None,
    }
    for option in (name for name, there in given.items() if there):
        raise InputError(
            f"{option}: {source.name} has several senses, whose windows and posteriors are fixed; leave it out"
        )
