"""Every family of diffusers, exported for real and run: `python -m edgevae_export.diffusers.survey JSON [MODEL ...]`.

    small model, random weights -> folder -> export_bundle (all its checks) -> edgevae.load -> clip -> latents -> clip

A family that is refused stays in the survey, with the reason that the command gives. With names of small models only
these are measured again; the file is written after every one.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

import edgevae
from edgevae.errors import EdgeVaeError, ParityError
from edgevae.files import write_atomically
from edgevae.frames import Frames
from edgevae.strict import from_dict, to_dict
from edgevae.version import __version__
from edgevae_export.diffusers.families import NOT_YET
from edgevae_export.diffusers.small_models import SMALL_MODELS, make
from edgevae_export.export import export_bundle
from edgevae_export.samples import FRAMES
from edgevae_export.verify import Comparison, Verification

CLIP = (13, 44, 60)
"""Frames, height and width of the clip that the runtime codes: no multiples of a chunk or a cell."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The worst of all clips and runners, against PyTorch in float32."""

    latents: float
    """Largest difference, of unit scale."""
    frames_levels: float
    """Largest difference, of 255."""
    frames_psnr_dB: float | None
    """Least; None where all frames are equal."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was measured of a family that is exported."""

    onnxruntime: Parity
    """The fp32 graphs."""
    library: Parity
    """diffusers' own call on the whole clip."""
    half: Parity
    """The fp16 graphs, and PyTorch in true half arithmetic."""
    half_kept_layers: int
    """Layers that compute in float32 in the fp16 graphs."""
    tensorrt: str
    """The TensorRT that built every graph, or `not installed`."""
    temporal_factor: int
    """Frames of a latent step."""
    lead_frames: int
    """Frames that a clip's first latent step has less than others."""
    state_tensors: int
    """Caches of encoder and decoder together; 0 for models that code picture by picture."""
    encoder_halo_px: int | None
    """None: the whole frame."""
    decoder_halo_px: int | None
    """Likewise, of what the latents stand for."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One row of the survey."""

    name: str
    """Of the small model, or of the class where it is refused."""
    class_name: str
    """In diffusers."""
    models: str
    """Published ones of this structure; empty for a family that is refused."""
    refused: str | None
    """Why it cannot be exported."""
    exported: Exported | None
    """What was measured, where it can."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What `docs/families.json` holds."""

    edgevae: str
    """Version."""
    diffusers: str
    """Version."""
    families: tuple[Family, ...]
    """Exported ones first."""


def listed() -> list[str]:
    """Return the names of the small models that have a row."""
    return [name for name, small in SMALL_MODELS.items() if small.is_listed]


def row(name: str) -> Family:
    """Return the row of a small model, measured now.

    Raises:
        EdgeVaeError: its export fails, or the runtime does not give again what it must.
    """
    small = SMALL_MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        exported = measure(name, Path(folder))
    return Family(
        name=name,
        class_name=small.class_name,
        models=small.models,
        refused=None,
        exported=exported,
    )


def refused_rows() -> tuple[Family, ...]:
    """Return a row of each family that cannot be exported."""
    return tuple(
        Family(name=name, class_name=name, models="", refused=why, exported=None)
        for name, why in NOT_YET.items()
    )


def measure(name: str, folder: Path) -> Exported:
    """Return what was measured of a small model: as diffusers' folder, as a bundle, and in the runtime.

    Raises:
        EdgeVaeError: the export fails.
        ParityError: frames of a stream are not those of the whole clip.
    """
    make(name).save_pretrained(folder / name / "vae")
    bundle, result = export_bundle(folder / name / "vae", folder / "bundle")
    require_round_trip(folder / "bundle", clip())
    spec = bundle.manifest.spec
    cells = spec.decoder_halo_cells
    return Exported(
        onnxruntime=_worst(result, precision="fp32", runner="onnxruntime"),
        library=_worst(result, precision="fp32", runner="diffusers"),
        half=_worst(result, precision="fp16"),
        half_kept_layers=len(result.fp16_kept_layers),
        tensorrt=", ".join(sorted({said.partition(",")[0] for said in result.builds.values()})),
        temporal_factor=spec.temporal_factor,
        lead_frames=spec.lead_frames,
        state_tensors=len(spec.encoder_state) + len(spec.decoder_state),
        encoder_halo_px=spec.encoder_halo_px,
        decoder_halo_px=None if cells is None else cells * spec.spatial_factor,
    )


def require_round_trip(bundle: Path, frames: Frames) -> None:
    """Encode and decode a clip in the runtime, whole and chunk by chunk.

    Raises:
        ParityError: the two are not the same, to the last bit.
    """
    count, height, width, _ = frames.shape
    with edgevae.load(bundle, backend="onnxruntime", device="cpu") as vae:
        whole = vae.decode(vae.encode(frames), frames=count, size=(height, width))
        state, parts = vae.stream(height=height, width=width), []
        for chunk in edgevae.chunks(
            [frames], chunk_frames=vae.chunk_frames, lead_frames=vae.spec.lead_frames
        ):
            latents, state = vae.encode_chunk(chunk, state)
            decoded, state = vae.decode_chunk(latents, state)
            parts.append(decoded[: len(chunk)])
    if not np.array_equal(np.concatenate(parts), whole):
        raise ParityError(f"{bundle}: a stream's frames differ from those of the whole clip")


def clip() -> Frames:
    """Return real frames, as many as `CLIP` says, there and back."""
    from safetensors.numpy import load_file

    count, height, width = CLIP
    frames: Frames = load_file(FRAMES)["frames"]
    return np.concatenate([frames, frames[::-1]])[:count, :height, :width]


def read(path: Path) -> Survey:
    """Return a survey that was written.

    Raises:
        ConfigError: it is not one of this version.
    """
    return from_dict(Survey, json.loads(path.read_text(encoding="utf-8")), where=str(path))


def main() -> None:
    """Measure the small models that were named, or all, and write the survey to the path that was given."""
    import diffusers

    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(listed()):
        sys.exit(f"expected the JSON file to write, then any of: {', '.join(listed())}")
    path, wanted = Path(sys.argv[1]), sys.argv[2:] or listed()
    rows = {}
    if sys.argv[2:] and path.is_file():
        rows = {one.name: one for one in read(path).families}
    for name in tqdm(wanted, unit="family"):
        try:
            rows[name] = row(name)
        except EdgeVaeError as error:
            sys.exit(f"{name}: {error}")
        found = (*(rows[n] for n in listed() if n in rows), *refused_rows())
        result = Survey(edgevae=__version__, diffusers=diffusers.__version__, families=found)
        write_atomically(path, (json.dumps(to_dict(result), indent=1) + "\n").encode())


def _worst(result: Verification, *, precision: str, runner: str | None = None) -> Parity:
    found: list[Comparison] = [
        c
        for c in result.comparisons
        if c.precision == precision and (runner is None or c.runner == runner)
    ]
    psnr = min(c.frames_psnr_dB for c in found)
    return Parity(
        latents=_rounded(max(c.latents_max_difference for c in found)),
        frames_levels=max(c.frames_max_levels for c in found),
        frames_psnr_dB=None if math.isinf(psnr) else round(psnr, 1),
    )


def _rounded(value: float) -> float:
    """Return a value with two digits: the rest is of the machine's arithmetic."""
    return float(f"{value:.1e}")


if __name__ == "__main__":
    main()
