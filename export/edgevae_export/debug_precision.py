"""Where half precision goes wrong in a network, and why: the measurements of its layers, read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.spec import Role
from edgevae_export.exportable import Source
from edgevae_export.layer_errors import BAD_SNR_dB, LayerError, measure_layers
from edgevae_export.layer_names import user_path, user_prefix
from edgevae_export.precision import FLOAT16_MAX, Peaks, choose_pins, mixes_types
from edgevae_export.runs import ROLES
from edgevae_export.samples import samples


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What float16 does to the encoder or the decoder."""

    role: Role
    """Which."""
    verdict: str
    """In a sentence: where it goes wrong first, and why."""
    first_bad: str | None
    """The first layer whose own error is bad and spoils what comes behind it: the cause."""
    first_not_finite: str | None
    """The first layer that gives NaN or Inf where the whole network is in half."""
    float32_in_export: tuple[str, ...]
    """Layers that export keeps in float32, or has give it, by what was measured; a search may add others."""
    layers: tuple[LayerError, ...]
    """All, in the order they run, by their path in the user's network."""

    @property
    def worst_first(self) -> tuple[LayerError, ...]:
        """The layers with the worst error of their own first, and among equals the least headroom."""
        return tuple(sorted(self.layers, key=lambda e: (_own_dB(e), e.headroom)))


def diagnose(
    source: Source,
    *,
    chunk_frames: int | None = None,
    calibration: Frames | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> tuple[Diagnosis, ...]:
    """Return what float16 does to both halves of a VAE, on the frames on which an export is checked.

    Args:
        source: The VAE.
        chunk_frames: Of one call; by default the temporal factor.
        calibration: Real frames uint8 `[T, H, W, 3]` in the place of those in the package.
        step: Told what comes next, `STEPS` times.

    Raises:
        InputError: the chunk is no multiple of the temporal factor, or the network calls no layers, or has weights
            outside of them that cannot be float16.
    """
    exportable, spec = source.exportable, source.exportable.spec
    chunk = chunk_frames or spec.temporal_factor
    if chunk % spec.temporal_factor:
        raise InputError(
            f"chunk frames: got {chunk}, expected a multiple of the temporal factor {spec.temporal_factor}"
        )
    lead, cell = spec.lead_frames, spec.spatial_factor
    clips = samples(chunk_frames=chunk, lead_frames=lead, cell_px=cell, real=calibration)
    try:
        found = measure_layers(exportable, clips, chunk_frames=chunk, step=step)
    except RuntimeError as error:
        if not mixes_types(error):
            raise
        raise InputError(
            f"{source.name}: cannot be run in float16 ({' '.join(str(error).split())[:200]}); weights that your own "
            "code hands to torch.nn.functional stay apart from the layers: make layers of them"
        ) from error
    diagnoses = []
    for role in ROLES:
        if not found[role].layers:
            raise InputError(
                f"{source.name}: its {role} calls no layer (torch.nn), expected one at least; make layers of what has "
                "weights"
            )
        module = exportable.graph_module(role, chunk_frames=chunk)
        prefix = user_prefix(module)
        inputs = {e.layer: e.peak_in for e in found[role].layers}
        peaks = Peaks(inputs, {e.layer: e.peak_out for e in found[role].layers})
        pins = choose_pins(module, peaks, headroom=exportable.headroom)
        layers = [replace(e, layer=user_path(e.layer, prefix)) for e in found[role].layers]
        pinned = tuple(user_path(n, prefix) for n in sorted(pins.names))
        lost = user_path(found[role].first_not_finite or "", prefix) or None
        diagnoses.append(read(role, layers, pinned, lost=lost))
    return tuple(diagnoses)


STEPS = 4 * len(ROLES)
"""How often `diagnose` tells its step: four clips through two halves."""


def read(
    role: Role, layers: Sequence[LayerError], pinned: tuple[str, ...], *, lost: str | None
) -> Diagnosis:
    """Return what measurements mean.

    Args:
        role: Of the layers.
        layers: In the order they run, at least one.
        pinned: Those that export would not leave in float16 alone.
        lost: Where NaN or Inf first comes out of the network in half.
    """
    bad = culprit(layers)
    return Diagnosis(
        role=role,
        verdict=_verdict(layers, bad, lost),
        first_bad=bad.layer if bad else None,
        first_not_finite=lost,
        float32_in_export=pinned,
        layers=tuple(layers),
    )


def culprit(layers: Sequence[LayerError]) -> LayerError | None:
    """Return the first layer that is bad by itself and spoils at least half of the layers from it on in the network.

    A branch whose result hardly varies, as of an attention that sees everything alike, is bad by itself and harmless:
    its error is small beside the sum that it goes into, and the layers behind it are good.

    Args:
        layers: In the order they run.
    """
    for index, error in enumerate(layers):
        behind = layers[index:]
        spoilt = sum(e.network_snr_dB < BAD_SNR_dB or not e.network_finite for e in behind)
        if not error.own_finite or (error.own_is_bad and 2 * spoilt >= len(behind)):
            return error
    return None


def why(error: LayerError) -> str:
    """Return in words what is wrong with a layer by itself, or how good it is."""
    for what, peak in (
        ("weights reach", error.peak_weight),
        ("input reaches", error.peak_in),
        ("output reaches", error.peak_out),
    ):
        if peak > FLOAT16_MAX:
            return f"its {what} {peak:.4g}, float16 ends at 65504"
    if not error.own_finite:
        return "it gives NaN or Inf in float16, though its input and output fit"
    quality = f"its signal is {error.own_snr_dB:.1f} dB above its own error"
    if error.own_is_bad:
        peak = max(error.peak_in, error.peak_out)
        return f"{quality}, with values up to {peak:.4g} (bad: less than {BAD_SNR_dB:g} dB)"
    return quality


def _verdict(layers: Sequence[LayerError], bad: LayerError | None, lost: str | None) -> str:
    if bad is not None:
        more = sum(e.own_is_bad for e in layers if e is not bad)
        others = f"; bad by themselves are {more} more" if more else ""
        return f"goes wrong first in {bad.layer} ({bad.kind}): {why(bad)}{others}"
    if lost is not None:
        return (
            f"no layer is bad by itself, but NaN or Inf first comes out of {lost}: "
            "look at the arithmetic between it and the layer before"
        )
    last, least = layers[-1], min(layers, key=lambda e: e.headroom)
    if last.network_snr_dB < BAD_SNR_dB:
        return f"no layer is bad by itself, but errors add up: {last.network_snr_dB:.1f} dB at {last.layer}, the last"
    return (
        f"holds in float16: {last.network_snr_dB:.1f} dB at {last.layer}, the last; the largest value is "
        f"{max(least.peak_in, least.peak_out):.4g} at {least.layer}, headroom {least.headroom:.3g}"
    )


def _own_dB(error: LayerError) -> float:
    return error.own_snr_dB if error.own_finite else -math.inf
