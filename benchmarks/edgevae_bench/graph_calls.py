"""The two graphs of a subject by themselves, ready to run: what is on the clock at the boundary graph.

What a call costs above this is the runtime's own: checks, padding, copies, choosing buffers, Python.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np

from edgevae.bundle import Bundle
from edgevae.frames import Frames, Latents, pad_frames
from edgevae.runtime.onnxruntime import CPU, import_onnxruntime, open_graph, wanted_outputs
from edgevae.spec import GraphSpec, Precision, Role
from edgevae_bench.place import GpuPlace, HostPlace, Place
from edgevae_bench.session_codec import SessionCodec
from edgevae_bench.subjects import AnyCodec, Subject
from edgevae_bench.turns import Calls, GraphTurns

ROLES: tuple[Role, ...] = ("encoder", "decoder")

Feeds: TypeAlias = dict[str, np.ndarray]


def open_graphs(
    subject: Subject,
    codec: AnyCodec,
    place: Place,
    *,
    frames: Frames,
    latents: Latents,
    chunks: int,
    stack: contextlib.ExitStack,
) -> GraphTurns:
    """Return the turns of a subject's graphs.

    Args:
        subject: What runs them.
        codec: It, opened.
        place: Where its arrays are.
        frames: One chunk of a clip, `[T, H, W, 3]` or with a batch.
        latents: Their latents.
        chunks: How often each graph runs in a turn.
        stack: Closes what is opened here.
    """
    spec = codec.spec
    frames = pad_frames(
        frames, frame_multiple=codec.chunk_frames, size_multiple=spec.spatial_factor
    )
    data = [_fold(frames), _fold(latents)]
    sizes = {
        "batch": len(data[0]) // codec.chunk_frames,
        "height": frames.shape[-3],
        "width": frames.shape[-2],
    }
    if isinstance(codec, SessionCodec):
        return GraphTurns(place, _of_sessions(codec, data, sizes), chunks)
    if subject.cuda_graph is not None and isinstance(place, GpuPlace):
        from edgevae_bench.bare import BareEngines

        bare = BareEngines(subject, place, sizes=sizes, data=data)
        stack.callback(bare.close)
        return GraphTurns(place, bare.calls, chunks, within=place.driver.activate)
    bundle = Bundle.open(subject.path)
    calls = [
        _of_onnxruntime(
            subject, bundle, bundle.graph(role, cast("Precision", subject.precision)), one, sizes
        )
        for role, one in zip(ROLES, data, strict=True)
    ]
    # ONNX Runtime has a stream of its own and returns when it is empty: the host's clock sees all of its work.
    return GraphTurns(HostPlace(), (calls[0], calls[1]), chunks)


def _of_sessions(codec: SessionCodec, data: list[np.ndarray], sizes: dict[str, int]) -> Calls:
    prepared = []
    for session, one in zip((codec.encoder, codec.decoder), data, strict=True):
        state = session.initial_state(
            batch=sizes["batch"], height_px=sizes["height"], width_px=sizes["width"]
        )
        assert hasattr(session, "prepared"), "every session of the benchmark's own has it"
        prepared.append(session.prepared(one, state))
    return prepared[0], prepared[1]


def _of_onnxruntime(
    subject: Subject, bundle: Bundle, graph: GraphSpec, data: np.ndarray, sizes: dict[str, int]
) -> Callable[[], object]:
    feeds = {s.name: np.zeros(s.resolve(sizes), np.dtype(s.dtype)) for s in graph.inputs}
    feeds[graph.data.name] = np.ascontiguousarray(data)
    names, model = wanted_outputs(graph), bundle.read(graph.file)
    if subject.device == "cpu":
        session = open_graph(
            import_onnxruntime(), model, graph, providers=[CPU], threads=subject.threads
        )
        return lambda: session.run(names, feeds)
    from edgevae.runtime.provider_session import open_on_provider
    from edgevae.runtime.providers import PROVIDERS

    ort, index = import_onnxruntime("gpu"), int(subject.device.partition(":")[2] or 0)
    session = open_on_provider(
        ort,
        model,
        graph,
        provider=PROVIDERS[subject.backend],
        device=index,
        threads=subject.threads,
    )
    return _bound(ort, session, names, feeds, index)


def _bound(
    ort: Any,  # Any: onnxruntime has no stubs
    session: Any,  # Any: likewise
    names: list[str],
    feeds: Feeds,
    index: int,
) -> Callable[[], object]:
    """Return a run whose inputs lie on the GPU and whose outputs stay there."""
    binding = session.io_binding()
    values = {n: ort.OrtValue.ortvalue_from_numpy(v, "cuda", index) for n, v in feeds.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name in names:
        binding.bind_output(name, "cuda", index)
    kept = (values, binding)  # the binding has the addresses only
    return lambda: (kept, session.run_with_iobinding(binding))


def _fold(array: np.ndarray) -> np.ndarray:
    """Return `[B, T, ...]` or `[T, ...]` as `[B*T, ...]`."""
    return np.ascontiguousarray(array).reshape(-1, *array.shape[-3:])
