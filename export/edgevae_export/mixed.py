"""Which layers of the fp16 graphs are float32: the smallest set found with which half precision passes the gate.

    1  those through which values went that float16 does not hold         measured in PyTorch fp32; never left out
    2  where that fails the gate in true half arithmetic: `pin_search.py` adds the layers that damage most
    3  none that is known: the export is refused

The largest values are known from the reference run, on the same frames; the verdict is that of PyTorch in half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgevae.errors import ParityError
from edgevae.frames import Frames
from edgevae.spec import Role
from edgevae_export import verify
from edgevae_export.exportable import Exportable
from edgevae_export.layer_names import user_path, user_prefix
from edgevae_export.pin_search import Gate, PinSearch
from edgevae_export.precision import Peaks, Pins, choose_pins, why_pinned
from edgevae_export.runs import ROLES


@dataclass(frozen=True)
class MixedPrecision:
    """The layers that are not float16, and what half precision gives with them."""

    pins: dict[Role, Pins]
    """By role; names as in the graph modules."""
    comparisons: tuple[verify.Comparison, ...]
    """PyTorch in true half arithmetic, on every clip."""
    peaks: dict[Role, Peaks]
    """What went through its layers."""
    because: dict[str, str] = field(default_factory=dict)
    """Why each is pinned, by role and the layer's name in the user's network."""
    search_runs: int = 0
    """How often half precision was tried to find them; 1 where what was measured is enough."""
    prefixes: dict[Role, str] = field(default_factory=dict)
    """What stands before the names of the user's network in the graph modules."""

    def path(self, role: Role, name: str) -> str:
        """Return a layer's name for people: the role, and its path in the user's network."""
        return f"{role} {user_path(name, self.prefixes.get(role, ''))}"


def find_pins(
    exportable: Exportable,
    expected: verify.Expected,
    measured: Mapping[Role, Peaks],
    *,
    chunk_frames: int,
    gates: verify.Gates,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> MixedPrecision:
    """Return the smallest set of float32 layers that is found with which half precision passes the gate.

    Args:
        exportable: The VAE.
        expected: PyTorch's fp32 results on each clip, with every number of channels.
        measured: What went through the layers then.
        chunk_frames: Of one call.
        gates: What half precision must keep to.
        progress: Told how many runs in half were made and how many there may be, while a search goes on.

    Raises:
        ParityError: no set is known that does.
    """
    modules = {role: exportable.graph_module(role, chunk_frames=chunk_frames) for role in ROLES}
    prefixes = {role: user_prefix(modules[role]) for role in ROLES}
    required = {
        role: choose_pins(modules[role], measured[role], headroom=exportable.headroom)
        for role in ROLES
    }
    because = {
        (role, name): why_pinned(name, measured[role], headroom=exportable.headroom)
        for role in ROLES
        for name in required[role].names
    }
    gate = Gate(exportable, expected, chunk_frames=chunk_frames, gates=gates)
    pins, failure = required, gate.failure(required)
    if failure is not None:
        search = PinSearch(exportable, gate, _clips(expected), modules, progress)
        found = search.extend(required)
        if found is None:
            raise ParityError(
                f"{failure} (nor does it pass with all layers in float32: {gate.runs} runs)"
            ) from failure
        pins, reasons = found
        because = {**reasons, **because}
    mixed = MixedPrecision(pins, gate.comparisons, gate.peaks, {}, gate.runs, prefixes)
    mixed.because.update({mixed.path(role, name): why for (role, name), why in because.items()})
    return mixed


def _clips(expected: verify.Expected) -> dict[str, Frames]:
    return {name: levels[0].clip for name, levels in expected.items()}
