"""What a pair of ONNX files does not say of itself: `spec.json`, written by whoever made them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgevae.errors import ConfigError, InputError
from edgevae.spec import GraphSpec, Role, VaeSpec
from edgevae.strict import from_dict
from edgevae_export.exportable import graph_spec


@dataclass(frozen=True, kw_only=True)
class ImportSpec:
    """How the graphs of somebody else are meant: float pixels `[B*T, 3, H, W]` to latents `[B*t, C, h, w]`, and back.

    State comes in behind the data and goes out behind it: by the names in `vae`, or in their order.
    """

    vae: VaeSpec
    """Factors, state, halo and normalisation, as the manifest of a bundle has them."""
    pixel_range: Literal["-1..1", "0..1"]
    """What black and white are, in and out."""
    encoder_gives: Literal["latents", "moments"] = "latents"
    """moments: mean and log-variance as 2C channels, of which the mean is taken."""
    chunk_frames: int | None = None
    """T, frames of one clip in one call; None: the temporal factor."""

    def graph(self, role: Role) -> GraphSpec:
        """Return the tensors of the graph in the bundle, fp32."""
        chunk = self.chunk_frames or self.vae.temporal_factor
        return graph_spec(self.vae, role, precision="fp32", chunk_frames=chunk)


def read_import_spec(path: Path) -> ImportSpec:
    """Return what a file says.

    Raises:
        InputError: there is no such file.
        ConfigError: it is not JSON, a key is unknown or missing, or a value is invalid.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; expected the spec of the graphs, see docs/foreign.md"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); see docs/foreign.md") from error
    spec = from_dict(ImportSpec, data, where=str(path))
    chunk = spec.chunk_frames
    if chunk is not None and (chunk < 1 or chunk % spec.vae.temporal_factor):
        raise ConfigError(
            f"{path}: chunk_frames is {chunk}, expected a multiple of the temporal factor {spec.vae.temporal_factor}"
        )
    if spec.vae.lead_frames:
        raise ConfigError(
            f"{path}: lead_frames is {spec.vae.lead_frames}, expected 0: a foreign graph has no input that says "
            "whether a clip begins"
        )
    return spec
