"""What the benchmark itself costs, and whether it finds what it must: `python -m edgevae_bench.harness_check`.

    call on a no-op graph     at most 20 us above ONNX Runtime's own run of it
    graph                     within 2 % of a loop around onnxruntime that knows nothing of this package
    two equal runs            not called different
    a planted pause of 5 %    found by `compare`, in that backend only

A check for a quiet machine, not a test: a time is no property of the code. Prints whether each is passed, JSON last,
exit code 1 where one is missed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

import edgevae
from edgevae.bundle import Bundle
from edgevae.runtime.shipped import locate
from edgevae.spec import GraphSpec, TensorSpec
from edgevae_bench import document, samples
from edgevae_bench.compare import compare
from edgevae_bench.place import HostPlace
from edgevae_bench.plan import Plan
from edgevae_bench.run import run
from edgevae_bench.turns import GraphTurns, Turns

MAX_OVERHEAD_US, MAX_GRAPH_RATIO, PAUSE_RATIO = 20.0, 0.02, 0.05

SIZE_PX = 96, 160
"""Height and width of the runs; small, because it is the benchmark that is measured."""

SESSIONS, ROUNDS = 9, 10
"""Pairs of sessions whose figures are compared, and turns of each."""

CELL_PX, CHANNELS = 8, 4
"""Of the no-op model: one latent cell, so that nothing but the calls takes time."""


@dataclass(frozen=True)
class Check:
    """One thing that must be so."""

    name: str
    found: float | list[str]
    limit: float | list[str]
    """The largest ratio or number, or exactly these subjects."""
    is_passed: bool


def no_op(role: str) -> tuple[bytes, GraphSpec]:
    """Return a graph that only makes its output of the right shape and type, one cell to one cell."""
    import onnx
    from onnx import TensorProto, helper

    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, [1, CELL_PX, CELL_PX, 3])
    latents = helper.make_tensor_value_info("latents", TensorProto.FLOAT, [1, CHANNELS, 1, 1])
    ends = (frames, latents) if role == "encoder" else (latents, frames)
    shape = [dim.dim_value for dim in ends[1].type.tensor_type.shape.dim]
    zeros = helper.make_tensor(
        "zeros", ends[1].type.tensor_type.elem_type, shape, np.zeros(shape, np.uint8).ravel()
    )
    node = helper.make_node("Identity", ["zeros"], [ends[1].name])
    graph = helper.make_graph([node], role, [ends[0]], [ends[1]], [zeros])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    specs = {
        "frames": TensorSpec(name="frames", dtype="uint8", shape=(1, CELL_PX, CELL_PX, 3)),
        "latents": TensorSpec(name="latents", dtype="float32", shape=(1, CHANNELS, 1, 1)),
    }
    spec = GraphSpec(
        role="encoder" if role == "encoder" else "decoder",
        precision="fp32",
        file=f"{role}.onnx",
        chunk_frames=1,
        inputs=(specs[ends[0].name],),
        outputs=(specs[ends[1].name],),
    )
    return bytes(model.SerializeToString()), spec


def call_overhead_us() -> float:
    """Return the median of a call above the median of ONNX Runtime's own run, both on the no-op graph."""
    from edgevae.runtime.onnxruntime import OnnxRuntimeSession
    from edgevae.spec import VaeSpec
    from edgevae_bench.session_codec import SessionCodec

    sessions = [OnnxRuntimeSession(*no_op(role), threads=1) for role in ("encoder", "decoder")]
    spec = VaeSpec(
        temporal_factor=1,
        spatial_factor=CELL_PX,
        latent_channels=CHANNELS,
        encoder_halo_px=0,
        decoder_halo_cells=0,
        encoder_state=(),
        decoder_state=(),
        latent_mean=(0.0,) * CHANNELS,
        latent_std=(1.0,) * CHANNELS,
    )
    codec = SessionCodec(sessions[0], sessions[1], spec=spec, name="no-op", model_digest="")
    frames = np.zeros((1, CELL_PX, CELL_PX, 3), np.uint8)
    turns = Turns(codec, HostPlace(), [frames] * 1000)
    bare = sessions[0]._session  # ONNX Runtime's own, the very one that the call runs
    graph = GraphTurns(
        HostPlace(), (lambda: bare.run(["latents"], {"frames": frames}), lambda: None), 1000
    )
    above = []
    for _ in range(20):
        mine, theirs = turns.call()["encode"], graph.graph()["encode"]
        above.append((statistics.median(mine) - statistics.median(theirs)) * 1e3)
    return statistics.median(above)


def graph_ratio(bundle: Path, *, threads: int, size_px: tuple[int, int]) -> float:
    """Return the benchmark's figure of the encoder divided by that of a plain loop, less one.

    The median over sessions opened anew: how fast one is depends on where its memory came to lie, by some percent.
    """
    return statistics.median(
        _graph_ratio(bundle, threads=threads, size_px=size_px) for _ in range(SESSIONS)
    )


def _graph_ratio(bundle: Path, *, threads: int, size_px: tuple[int, int]) -> float:
    import onnxruntime

    from edgevae.runtime.onnxruntime import CPU, open_graph, wanted_outputs

    opened = Bundle.open(bundle)
    spec = opened.graph("encoder", "fp32")
    model = opened.read(spec.file)
    sizes = {"batch": 1, "height": size_px[0], "width": size_px[1]}
    feeds = {s.name: np.zeros(s.resolve(sizes), s.dtype) for s in spec.inputs}
    # Two sessions: the benchmark's is opened by its own code, the other by the few lines that anyone would write.
    ours = open_graph(onnxruntime, model, spec, providers=[CPU], threads=threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    plain = onnxruntime.InferenceSession(model, options, providers=[CPU])
    names = wanted_outputs(spec)
    turns = GraphTurns(HostPlace(), (lambda: ours.run(names, feeds), lambda: None), 4)
    mine, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        mine += turns.graph()["encode"]
        for _ in range(2):  # as before every turn: caches are full of the other session
            plain.run(names, feeds)
        for _ in range(4):
            started = time.perf_counter()
            plain.run(names, feeds)
            theirs.append((time.perf_counter() - started) * 1e3)
    return statistics.median(mine) / statistics.median(theirs) - 1


def verdicts(plan: Plan, folder: Path, *, times: int) -> Iterator[tuple[bool, set[str]]]:
    """Yield for every pair of runs whether a pause was planted in the second, and the subjects called different."""
    results = []
    slow = ((f"{plan.backends[0]}_fp32", PAUSE_RATIO),)
    for number in range(times + 2):
        output = folder / f"{number}.json"
        planted = number == times + 1
        found = run(replace(plan, output=output, pauses=slow if planted else (), seed=number))
        results.append((found.result, samples.read(document.samples_path(output))))
        if number:
            changes = compare(results[-2], results[-1]).changes
            yield planted, {c.key.subject for c in changes if c.verdict in ("slower", "faster")}


def checks(plan: Plan, *, times: int, size_px: tuple[int, int]) -> Iterator[Check]:
    """Yield every check when it is done."""
    above = call_overhead_us()
    yield Check("call_overhead_us", round(above, 2), MAX_OVERHEAD_US, above <= MAX_OVERHEAD_US)
    ratio = graph_ratio(plan.bundle, threads=plan.threads, size_px=size_px)
    yield Check("graph_ratio", round(ratio, 4), MAX_GRAPH_RATIO, abs(ratio) <= MAX_GRAPH_RATIO)
    wrong, mine = 0, f"{plan.backends[0]}_fp32"
    with tempfile.TemporaryDirectory() as folder:
        for number, (planted, names) in enumerate(verdicts(plan, Path(folder), times=times), 1):
            if planted:
                yield Check("equal_runs_called_different", wrong, 0, not wrong)
                yield Check("pause_found_in", sorted(names), [mine], names == {mine})
            else:
                wrong += bool(names)
                click.echo(f"pair {number} of {times}: {', '.join(sorted(names)) or 'same'}")


@click.command()
@click.option(
    "--model", default="edgevae-video-xs", show_default=True, help="Bundle or shipped name."
)
@click.option("--times", default=20, show_default=True, help="Pairs of equal runs.")
@click.option(
    "--starts", default=16, show_default=True, help="Of every subject in every run; rounds, too."
)
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
def main(model: str, times: int, starts: int, threads: int) -> None:
    """Check the benchmark itself on this machine, which should have nothing else to do; a quarter of an hour."""
    plan = Plan(
        bundle=locate(model),
        checkpoint=locate(model, part="checkpoint"),
        video=Path(edgevae.__file__).parent / "clips" / "flower.mp4",
        threads=threads,
        sizes_px=(SIZE_PX,),
        backends=("onnxruntime", "pytorch_eager"),
        boundaries=("call",),
        max_frames=32,
        rounds=starts,
        starts=starts,
        max_chunks=4,
        max_warm_up_turns=4,
    )
    done = []
    for check in checks(plan, times=times, size_px=SIZE_PX):
        done.append(check)
        word = "passed" if check.is_passed else "MISSED"
        click.echo(f"{word}  {check.name}: {check.found}, limit {check.limit}")
    passed = all(check.is_passed for check in done)
    found = {check.name: check.found for check in done}
    click.echo(json.dumps(found | {"equal_runs": times, "is_passed": passed}))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
