"""The search for layers to keep in float32 where those that must be are not enough for half precision to pass the gate.

Every layer with weights is a candidate, ranked by its own damage (`layer_errors.py`). The shortest beginning of the
list with which the gate passes is bisected and thinned (`subset_search.py`), first with layers that compute in float32
and give it, so that the arithmetic behind them is float32 too; then as many of them as can give float16 again.

Costs, where it is needed: one measurement, then a run in half of one role for each set that is tried: 1 + log2(n) for
n layers, and some for each layer that is found. A run stops at the first clip that is off the gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from torch import nn

from edgevae.errors import ParityError
from edgevae.frames import Frames
from edgevae.spec import Role
from edgevae_export import verify
from edgevae_export.exportable import Exportable
from edgevae_export.layer_errors import LayerError, measure_layers
from edgevae_export.precision import Peaks, Pins, has_own_tensors, mixes_types
from edgevae_export.runs import ROLES, Run, remembered, torch_runs
from edgevae_export.subset_search import smallest

Found = tuple[dict[Role, Pins], dict[tuple[Role, str], str]]
"""Pins, and why those that the search added are."""


class Gate:
    """The parity gate of half precision, asked again and again with other pins.

    Args:
        exportable: The VAE.
        expected: PyTorch's fp32 results on each clip.
        chunk_frames: Of one call.
        gates: What must be kept to.
    """

    def __init__(
        self,
        exportable: Exportable,
        expected: verify.Expected,
        *,
        chunk_frames: int,
        gates: verify.Gates,
    ) -> None:
        self._exportable, self._expected, self._gates = exportable, expected, gates
        self.chunk_frames = chunk_frames
        self._exact: dict[Role, Run] | None = None
        self.runs = 0
        self.comparisons: tuple[verify.Comparison, ...] = ()
        self.peaks: dict[Role, Peaks] = {}

    def failure(
        self, pins: Mapping[Role, Pins], *, roles: Sequence[Role] = ROLES
    ) -> ParityError | None:
        """Return why half precision does not pass, or None where it does; the roles not named are in float32."""
        self.runs += 1
        peaks: dict[Role, Peaks] = {role: Peaks() for role in ROLES}
        runs = torch_runs(
            self._exportable,
            precision="fp16",
            chunk_frames=self.chunk_frames,
            pins=pins,
            peaks=peaks,
            roles=roles,
        )
        try:
            found = verify.compare_all(
                self._expected,
                self._known() | runs if len(roles) < len(ROLES) else runs,
                "pytorch",
                precision="fp16",
                gates=self._gates,
            )
        except ParityError as error:
            return error
        except RuntimeError as error:
            if not mixes_types(error):  # a set that does is no solution
                raise
            return ParityError(f"pytorch fp16 mixes types: {' '.join(str(error).split())[:200]}")
        self.comparisons, self.peaks = found, peaks
        return None

    def _known(self) -> dict[Role, Run]:
        """Return float32 runs that remember: what they are asked for is mostly what the references hold."""
        if self._exact is None:
            exact = torch_runs(self._exportable, precision="fp32", chunk_frames=self.chunk_frames)
            self._exact = {
                "encoder": remembered(exact["encoder"]),
                "decoder": self._decoded(exact["decoder"]),
            }
        return self._exact

    def _decoded(self, decode: Run) -> Run:
        known = {id(r.latents): r.frames for levels in self._expected.values() for r in levels}

        def run(latents: np.ndarray) -> np.ndarray:
            return known[id(latents)] if id(latents) in known else decode(latents)

        return run


class PinSearch:
    """One search; see the module.

    Args:
        exportable: The VAE.
        gate: What is to pass.
        clips: The frames on which damage is measured.
        modules: The graph modules, in float32.
        progress: Told the runs in half so far, and how many there may be.
    """

    def __init__(
        self,
        exportable: Exportable,
        gate: Gate,
        clips: Mapping[str, Frames],
        modules: Mapping[Role, nn.Module],
        progress: Callable[[int, int], None],
    ) -> None:
        self._gate, self._modules, self._progress = gate, modules, progress
        self._errors = measure_layers(
            exportable, clips, chunk_frames=gate.chunk_frames, whole_network=False
        )

    def extend(self, required: Mapping[Role, Pins]) -> Found | None:
        """Return the required pins and as few others as are found with which both roles pass; None where none do."""
        pins, because = dict(required), dict[tuple[Role, str], str]()
        # One role at a time; then the round trip of both, which passes unless each took most of what is allowed.
        turns: list[tuple[Role, Sequence[Role]]] = [(role, (role,)) for role in ROLES]
        for role, roles in [*turns, ("decoder", ROLES)]:
            if self._gate.failure(pins, roles=roles) is None:
                continue
            found = self._of(role, pins, roles)
            if found is None:
                return None
            pins[role], reasons = found
            because |= {(role, name): why for name, why in reasons.items()}
        return (pins, because) if self._gate.failure(pins) is None else None

    def _of(
        self, role: Role, pins: Mapping[Role, Pins], roles: Sequence[Role]
    ) -> tuple[Pins, dict[str, str]] | None:
        ranked = ranking(self._modules[role], self._errors[role].layers, pins[role])
        names = [name for name, _ in ranked]

        def added(kept: Iterable[str], widened: Iterable[str]) -> Pins:
            return Pins(pins[role].kept | set(kept), pins[role].widened | set(widened))

        def passes(kept: Iterable[str], widened: Iterable[str]) -> bool:
            self._progress(self._gate.runs, most)
            return self._gate.failure({**pins, role: added(kept, widened)}, roles=roles) is None

        most = self._gate.runs + 4 + 2 * math.ceil(math.log2(len(names) + 1))
        kept = smallest(names, lambda some: passes(some, some))
        if kept is None:
            return None
        most = self._gate.runs + 1 + 2 * len(kept)
        widened = list[str]()
        if not passes(kept, ()):
            widened = smallest(kept, lambda some: passes(kept, some), all_pass=True) or kept
        return added(kept, widened), {name: why for name, why in ranked if name in kept}


def ranking(
    module: nn.Module, errors: Sequence[LayerError], required: Pins
) -> list[tuple[str, str]]:
    """Return every layer that is not pinned yet, the one that damages most first, and how much it does.

    A layer without weights cannot be pinned: its damage counts as that of the layer before, which can give float32.

    Args:
        module: In float32.
        errors: In the order of the first call.
        required: What is pinned.
    """
    pinnable = [name for name, layer in module.named_modules() if name and has_own_tensors(layer)]
    damage: dict[str, LayerError] = {}
    last: str | None = None
    for error in errors:
        last = error.layer if error.layer in pinnable else last
        if last is not None and (last not in damage or _snr(error) < _snr(damage[last])):
            damage[last] = error
    order = list(damage) + [name for name in pinnable if name not in damage]
    order.sort(key=lambda name: _snr(damage[name]) if name in damage else math.inf)
    return [(name, _said(damage.get(name))) for name in order if name not in required.kept]


def _snr(error: LayerError) -> float:
    return error.own_snr_dB if error.own_finite else -math.inf


def _said(error: LayerError | None) -> str:
    if error is None:
        return "found by the search: its weights are used outside of a layer"
    said = f"its signal is {error.own_snr_dB:.1f} dB above its own error in float16"
    return f"found by the search: {said if error.own_finite else 'it is not finite in float16'}"
