"""The checkpoint behind a bundle, told apart without PyTorch: ours, or a folder of diffusers."""

from __future__ import annotations

import json
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae.errors import IncompatibleError, InputError
from edgevae.files import sha256_of_file
from edgevae.runtime.trial import try_in_child

WEIGHTS, CONFIG = "model.safetensors", "config.json"
CLASS_NAME = "_class_name"
"""The key with which diffusers says what class a model is; our configurations have none."""
DIGEST_TIMEOUT_S = 600.0
"""Large weights from a slow disk, and the import of PyTorch before that."""

_DIGEST = """
import sys
from edgevae.errors import EdgeVaeError
from edgevae_export.sources import open_source
try:
    print(open_source({folder!r}).weights_sha256)
except EdgeVaeError as error:
    sys.exit(str(error))
"""


def is_of_diffusers(folder: Path) -> bool:
    """Return whether a checkpoint is a VAE of diffusers, or a pipeline's folder with one inside."""
    for config in (folder / CONFIG, folder / "vae" / CONFIG):
        if config.is_file():
            try:
                return CLASS_NAME in json.loads(config.read_text(encoding="utf-8"))
            except ValueError:
                return False  # whoever opens it says what is wrong
    return False


def require_source(bundle: Path, checkpoint: Path) -> str:
    """Return the digest of the checkpoint's weights if the bundle was exported from them.

    Raises:
        InputError: the checkpoint has no weights file, or is none that diffusers can load.
        IncompatibleError: the bundle was exported from other weights: their times and frames are not comparable.
    """
    found = _diffusers_digest(checkpoint) if is_of_diffusers(checkpoint) else _digest(checkpoint)
    expected = Bundle.open(bundle).manifest.checkpoint_sha256
    if found != expected:
        raise IncompatibleError(
            f"{checkpoint}: weights have sha256 {found[:12]}..., the bundle was exported from {expected[:12]}...; "
            "give that checkpoint to --against, or export this one"
        )
    return found


def _digest(checkpoint: Path) -> str:
    weights = checkpoint / WEIGHTS
    if not weights.is_file():
        raise InputError(
            f"{checkpoint}: no {weights.name} in it; expected the checkpoint that the bundle was exported from"
        )
    return sha256_of_file(weights)


def _diffusers_digest(checkpoint: Path) -> str:
    """Return the digest of a model as diffusers loads it, by a process of its own: this one needs no PyTorch."""
    trial = try_in_child(_DIGEST.format(folder=str(checkpoint)), timeout_s=DIGEST_TIMEOUT_S)
    if trial.failure is not None or not trial.lines:
        why = trial.errors[-1] if trial.errors else trial.failure
        raise InputError(f"--against {checkpoint}: cannot be opened: {why}")
    return trial.lines[-1]
