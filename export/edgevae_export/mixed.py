"""Which layers of the fp16 graphs are float32: the smallest of three sets with which half precision passes the gate.

    1  those through which values went that float16 does not hold         measured in PyTorch fp32
    2  those, and all normalisations, which add up a whole picture        where 1 fails the gate in true half arithmetic
    3  none that is known: the export is refused

The largest values are known from the reference run, on the same frames; the verdict is that of PyTorch in half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgevae.errors import ParityError
from edgevae.spec import Role
from edgevae_export import verify
from edgevae_export.exportable import Exportable
from edgevae_export.precision import Peaks, Pins, choose_pins
from edgevae_export.runs import ROLES, torch_runs


@dataclass(frozen=True)
class MixedPrecision:
    """The layers that are not float16, and what half precision gives with them."""

    pins: dict[Role, Pins]
    """By role; names as in the graph modules."""
    comparisons: tuple[verify.Comparison, ...]
    """PyTorch in true half arithmetic, on every clip."""
    peaks: dict[Role, Peaks]
    """What went through its layers."""


def find_pins(
    exportable: Exportable,
    expected: verify.Expected,
    measured: Mapping[Role, Peaks],
    *,
    chunk_frames: int,
    gates: verify.Gates,
) -> MixedPrecision:
    """Return the smallest set of float32 layers with which half precision passes the gate.

    Args:
        exportable: The VAE.
        expected: PyTorch's fp32 results on each clip, with every number of channels.
        measured: What went through the layers then.
        chunk_frames: Of one call.
        gates: What half precision must keep to.

    Raises:
        ParityError: no set is known that does.
    """
    failure: ParityError | None = None
    for normalisations in (False, True):
        pins = {
            role: choose_pins(
                exportable.graph_module(role, chunk_frames=chunk_frames),
                measured[role],
                normalisations=normalisations,
                headroom=exportable.headroom,
            )
            for role in ROLES
        }
        peaks: dict[Role, Peaks] = {role: Peaks() for role in ROLES}
        runs = torch_runs(
            exportable, precision="fp16", chunk_frames=chunk_frames, pins=pins, peaks=peaks
        )
        try:
            found = verify.compare_all(expected, runs, "pytorch", precision="fp16", gates=gates)
        except ParityError as error:
            failure = failure or error
        else:
            return MixedPrecision(pins, found, peaks)
    assert failure is not None, "every way out of the loop but success sets it"
    raise failure
