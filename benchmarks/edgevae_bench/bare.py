"""The engines of a TensorRT subject by themselves: the plans that the runtime runs, with nothing around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgevae.bundle import Bundle
from edgevae.engine.build import BuildOptions
from edgevae.engine.cache import EngineCache, EngineRecord
from edgevae.engine.flavour import open_flavour
from edgevae.engine.profile import Profile, Size
from edgevae.errors import DeviceError
from edgevae.runtime.engines import engine_key, load_engine
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision, Role
from edgevae_bench.place import GpuPlace
from edgevae_bench.subjects import Subject
from edgevae_bench.turns import Calls

ROLES: tuple[Role, ...] = ("encoder", "decoder")


class BareEngines:
    """Encoder and decoder of a TensorRT subject, each in an execution context of its own.

    Args:
        subject: On TensorRT; its engines are in the cache.
        place: The device.
        sizes: batch, height and width, whole latent cells.
        data: Frames `[B*T, H, W, 3]` and latents `[B*t, C, h, w]` to run on.
    """

    def __init__(
        self,
        subject: Subject,
        place: GpuPlace,
        *,
        sizes: Mapping[str, int],
        data: Sequence[np.ndarray],
    ) -> None:
        self._place = place
        bundle, flavour = Bundle.open(Path(subject.path)), open_flavour(subject.backend)
        profile = Profile.static(Size(**sizes))
        self._engines = [
            load_engine(
                bundle,
                role,
                precision=cast("Precision", subject.precision),
                flavour=flavour,
                driver=place.driver,
                profile=profile,
                options=TensorRtOptions(allow_build=False, cuda_graph=False),
                exact=True,
            )
            for role in ROLES
        ]
        with place.driver.activate():
            self._contexts = [
                self._context(engine, sizes, one)
                for engine, one in zip(self._engines, data, strict=True)
            ]

    @property
    def calls(self) -> Calls:
        """What enqueues the encoder and the decoder once, within the device's context."""
        return lambda: self._enqueue(self._contexts[0]), lambda: self._enqueue(self._contexts[1])

    def close(self) -> None:
        """Free the engines; the tensors go with the place."""
        with self._place.driver.activate():
            self._contexts = []
        for engine in self._engines:
            engine.close()

    def _enqueue(self, context: Any) -> None:  # Any: TensorRT's context
        if not context.execute_async_v3(self._place.stream):
            raise DeviceError("the bare engine: TensorRT refused to run")

    def _context(
        self,
        engine: LoadedEngine,
        sizes: Mapping[str, int],
        data: np.ndarray,
    ) -> Any:  # Any: TensorRT's context
        """Return a context at one size, each tensor in memory of its own: the data in place, the others zero."""
        context = engine.new_context()
        graph, place = engine.graph, self._place
        for spec in graph.inputs:
            context.set_input_shape(spec.name, spec.resolve(sizes))
        for spec in (*graph.inputs, *graph.outputs):
            if spec is graph.data:
                array = place.put(data)
            else:
                array = place.empty(spec.resolve(sizes), np.dtype(spec.dtype))
                place.driver.set_zero(array.address, array.nbytes, place.stream)
            context.set_tensor_address(spec.name, array.address)
        place.wait()
        return context


def engine_records(
    subject: Subject, place: GpuPlace, sizes: Mapping[str, int]
) -> tuple[EngineRecord, ...]:
    """Return what the cache has on record of a subject's engines; fewer than two where one is not there."""
    bundle, flavour = Bundle.open(Path(subject.path)), open_flavour(subject.backend)
    profile = Profile.static(Size(**sizes))
    found = []
    for role in ROLES:
        graph = bundle.graph(role, cast("Precision", subject.precision))
        key = engine_key(
            bundle,
            graph,
            flavour=flavour,
            device=place.driver.device,
            options=BuildOptions(profiles=(profile,)),
        )
        cached = EngineCache().best(key, profile.opt, exact=True)
        if cached is not None:
            found.append(cached.record)
    return tuple(found)
