"""The engine by itself: the plan that the runtime runs, enqueued on a stream with nothing around it.

What a call costs above this is the runtime's own: choosing buffers, swapping the state, Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgevae.bundle import Bundle
from edgevae.engine.flavour import open_flavour
from edgevae.engine.profile import Profile, Size
from edgevae.errors import DeviceError
from edgevae.runtime.engines import load_engine
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Role
from edgevae_bench.gpu.place import GpuPlace
from edgevae_bench.gpu.turns import Samples
from edgevae_bench.subjects import Subject

ROLES: tuple[Role, ...] = ("encoder", "decoder")


class BareEngines:
    """Encoder and decoder of a TensorRT subject, each in an execution context of its own.

    Args:
        subject: On TensorRT; its engines are in the cache.
        place: The device.
        size_px: (H, W), whole latent cells.
        chunks: How often each is enqueued in a turn.
    """

    def __init__(
        self, subject: Subject, place: GpuPlace, *, size_px: tuple[int, int], chunks: int
    ) -> None:
        self._place, self._chunks = place, chunks
        bundle, flavour = Bundle.open(Path(subject.path)), open_flavour(subject.backend)
        size = Size(height=size_px[0], width=size_px[1])
        self._engines = [
            load_engine(
                bundle,
                role,
                precision=subject.precision,
                flavour=flavour,
                driver=place.driver,
                profile=Profile.static(size),
                options=TensorRtOptions(allow_build=False, cuda_graph=False),
                exact=True,
            )
            for role in ROLES
        ]
        with place.driver.activate():
            self._contexts = [self._context(engine, size) for engine in self._engines]

    def turn(self) -> Samples:
        """Return the time of every enqueue."""
        place = self._place
        with place.driver.activate():
            place.mark()
            for _ in range(self._chunks):
                for context in self._contexts:
                    if not context.execute_async_v3(place.stream):
                        raise DeviceError("the bare engine: TensorRT refused to run")
                    place.mark()
        laps = place.laps_ms()
        return {"encode": laps[::2], "decode": laps[1::2]}

    def close(self) -> None:
        """Free the engines; the tensors go with the place."""
        with self._place.driver.activate():
            self._contexts = []
        for engine in self._engines:
            engine.close()

    def _context(self, engine: LoadedEngine, size: Size) -> Any:  # Any: TensorRT's context
        """Return a context at one size, each tensor in memory of its own, set to zero."""
        context = engine.new_context()
        graph, driver = engine.graph, self._place.driver
        for spec in graph.inputs:
            context.set_input_shape(spec.name, spec.resolve(size.sizes()))
        for spec in (*graph.inputs, *graph.outputs):
            array = self._place.empty(spec.resolve(size.sizes()), np.dtype(spec.dtype))
            driver.set_zero(array.address, array.nbytes, self._place.stream)
            context.set_tensor_address(spec.name, array.address)
        driver.synchronize(self._place.stream)
        return context
