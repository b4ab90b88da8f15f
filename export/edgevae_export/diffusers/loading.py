"""A VAE of diffusers from a folder or from the Hub: configuration and safetensors, nothing else."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgevae.errors import InputError, IntegrityError, UnavailableError
from edgevae_export.diffusers.families import adapt, require_family
from edgevae_export.exportable import Source
from edgevae_export.foreign import state_sha256

HUB = "hub:"
"""Before the name of a model on the Hub: a path that was mistyped must not become a download."""


def open_diffusers(folder: Path) -> Source:
    """Return the VAE in a folder of diffusers, in float32.

    Args:
        folder: With `config.json` and weights in safetensors.

    Raises:
        InputError: the family cannot be exported, or diffusers cannot load the folder.
        IntegrityError: a weight is not finite.
        UnavailableError: diffusers is not installed.
    """
    library = _import_diffusers()
    class_name = str(json.loads((folder / "config.json").read_text()).get("_class_name"))
    require_family(class_name, where=str(folder))
    vae = _load(getattr(library, class_name), folder)
    return Source(
        exportable=adapt(vae, class_name=class_name, where=str(folder)),
        name=_name(folder),
        weights_sha256=state_sha256(vae.state_dict()),
        library="diffusers",
    )


def download(name: str) -> Path:
    """Return the local folder of a VAE on the Hub; only `config.json` and safetensors are fetched.

    Args:
        name: `hub:owner/model`, or `hub:owner/model/folder` for a VAE that is part of a pipeline.

    Raises:
        InputError: not such a name.
        UnavailableError: diffusers is not installed, or the Hub cannot be reached.
    """
    owner, _, rest = name.removeprefix(HUB).partition("/")
    model, _, inside = rest.partition("/")
    if not (owner and model):
        raise InputError(f"{name}: expected {HUB}owner/model or {HUB}owner/model/folder")
    _import_diffusers()
    from huggingface_hub import snapshot_download

    before = f"{inside}/" if inside else ""
    wanted = [f"{before}config.json", f"{before}diffusion_pytorch_model*.safetensors"]
    try:
        local = Path(snapshot_download(f"{owner}/{model}", allow_patterns=wanted))
    except (
        Exception
    ) as error:  # its exceptions, and those of the network below it, share no base class
        why = " ".join(str(error).split())[:200]
        raise UnavailableError(
            f"{name}: cannot be downloaded ({type(error).__name__}: {why}); give the path of a local copy"
        ) from error
    return local / inside if inside else local


def _import_diffusers() -> Any:  # Any: diffusers has no stubs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages that it looks for and we do not need
            import diffusers
    except ImportError as error:
        raise UnavailableError(
            f"diffusers: {error}; install it with `pip install 'edgevae[diffusers]'`"
        ) from error
    return diffusers


def _load(family: Any, folder: Path) -> nn.Module:  # Any: a class of diffusers
    try:
        vae: nn.Module = family.from_pretrained(
            str(folder),
            use_safetensors=True,
            local_files_only=True,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
        )
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        why = " ".join(str(error).split())[:300]
        raise InputError(
            f"{folder}: diffusers cannot load it ({why}); expected config.json and its weights in safetensors"
        ) from error
    for name, tensor in vae.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise IntegrityError(
                f"{folder}: tensor {name!r} has values that are NaN or infinite; copy it again"
            )
    return vae.eval()


def _name(folder: Path) -> str:
    """Return a model's name by its folder: `sdxl/vae` is sdxl, as is `sdxl`."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "vae" else folder.name
