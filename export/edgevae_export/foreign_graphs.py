"""A pair of foreign ONNX graphs as they were given, run on frames: the reference of their import."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevae.errors import IncompatibleError
from edgevae.runtime.onnxruntime import CPU, HostState, import_onnxruntime
from edgevae.spec import GraphSpec
from edgevae_export.import_spec import ImportSpec


class ForeignGraph:
    """A foreign graph with what `runs.onnx_run` asks of a session; pixels and latents are made outside of it, in numpy.

    Args:
        model: The file, which has been run in a child process.
        inputs: Its inputs, data first.
        outputs: Its outputs likewise.
        spec: What they mean.
        graph: The bundle's graph in whose place it runs.
    """

    def __init__(
        self,
        model: bytes,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        spec: ImportSpec,
        graph: GraphSpec,
    ) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=[CPU])
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise IncompatibleError(f"onnxruntime {ort.__version__}: {error}") from error
        self._inputs, self._outputs, self._spec, self.graph = inputs, outputs, spec, graph
        self._mean, self._std = (
            np.array(values, np.float32).reshape(-1, 1, 1)
            for values in (spec.vae.latent_mean, spec.vae.latent_std)
        )

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> HostState:
        """Return zeros."""
        sizes = {"batch": batch, "height": height_px, "width": width_px}
        return HostState({s.name: np.zeros(s.resolve(sizes), np.float32) for s in self.graph.state})

    def run(self, data: np.ndarray, state: HostState) -> tuple[np.ndarray, HostState]:
        """Return latents of unit scale for frames, or frames for them, and the next state."""
        before = self._to_theirs(data)
        values = dict(zip(self._inputs, (before, *state.tensors.values()), strict=True))
        result, *following = self._session.run(list(self._outputs), values)
        return self._to_ours(result), HostState(dict(zip(state.tensors, following, strict=True)))

    def _to_theirs(self, data: np.ndarray) -> np.ndarray:
        if self.graph.role == "decoder":
            return np.asarray(data * self._std + self._mean)
        pixels = np.ascontiguousarray(data.transpose(0, 3, 1, 2)).astype(np.float32)
        return pixels / 127.5 - 1 if self._spec.pixel_range == "-1..1" else pixels / 255

    def _to_ours(self, result: np.ndarray) -> np.ndarray:
        if self.graph.role == "encoder":
            return np.asarray(
                (result[:, : self._spec.vae.latent_channels] - self._mean) / self._std
            )
        levels = result * 127.5 + 127.5 if self._spec.pixel_range == "-1..1" else result * 255
        return np.ascontiguousarray(
            np.round(np.clip(levels, 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)
        )
