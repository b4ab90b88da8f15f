"""What comes before an engine is kept: references computed while no engine holds memory, and the check against them."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from edgevae.bundle import Bundle
from edgevae.cuda.probe import Gpu
from edgevae.engine.build import BuildOptions
from edgevae.engine.cache import EngineCache
from edgevae.engine.flavour import Flavour
from edgevae.engine.inspection import LayerTypes
from edgevae.engine.profile import Profile, Size
from edgevae.errors import ParityError, UnavailableError
from edgevae.runtime import engines, parity
from edgevae.runtime.tensorrt_options import TensorRtOptions

SMALL, MIDDLE, LARGE = (
    Size(height=16, width=16),
    Size(height=24, width=32),
    Size(batch=2, height=40, width=48),
)
RANGE = Profile(min=SMALL, opt=MIDDLE, max=LARGE)
GOLDEN = Size(height=64, width=64)


@pytest.fixture
def bundle(tiny_bundle):
    return Bundle.open(tiny_bundle)


@pytest.fixture(params=["encoder", "decoder"])
def graph(request, bundle):
    return bundle.graph(request.param, "fp16")


@pytest.fixture
def answers(monkeypatch):
    """A function that says what engines make of their data, by reference."""

    def answers(change):
        monkeypatch.setattr(parity, "_on_device", lambda engine, data, size: change(data, size))

    return answers


def test_a_range_is_computed_at_its_ends_and_each_size_once(bundle, graph):
    found = parity.references(
        bundle, graph, (RANGE, Profile.static(MIDDLE), Profile.static(GOLDEN))
    )
    sizes = [(r.against, r.size) for r in found]
    assert sizes[0] == ("golden", GOLDEN)
    assert sorted(sizes[1:]) == [("onnxruntime", s) for s in sorted((SMALL, MIDDLE, LARGE, GOLDEN))]
    for reference in found:
        resolved = reference.size.sizes()
        assert reference.data.shape == (2, *graph.data.resolve(resolved))
        count, *shape = graph.outputs[0].resolve(resolved)
        assert reference.expected.shape == (2 * count, *shape)


def test_the_golden_vectors_agree_with_what_onnx_runtime_makes_of_them(bundle, graph):
    golden, own = parity.references(bundle, graph, (Profile.static(GOLDEN),))
    assert np.array_equal(golden.data, own.data)
    assert np.abs(golden.expected.astype(np.float32) - own.expected).max() <= 1


def test_every_size_is_checked_and_the_worst_is_told(bundle, answers):
    graph = bundle.graph("encoder", "fp16")
    references = parity.references(bundle, graph, (RANGE,))
    expected = {r.size: r.expected for r in references}
    engine = SimpleNamespace(graph=graph)
    answers(lambda data, size: expected[size] + (0.02 if size == SMALL else 0.01))
    assert parity.check_engine(engine, references) == {
        "onnxruntime_max": pytest.approx(0.02, abs=1e-5)
    }
    for off in (SMALL, LARGE):
        answers(lambda data, size, off=off: expected[size] + (0.1 if size == off else 0))
        with pytest.raises(
            ParityError, match=rf"differs from onnxruntime at {off} by 0.1, expected at most"
        ):
            parity.check_engine(engine, references)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_off_in_whichever_frame_it_is(bundle, answers, value):
    graph = bundle.graph("encoder", "fp32")
    references = parity.references(bundle, graph, (Profile.static(SMALL),))
    for frame in range(2):
        got = references[0].expected.copy()
        got[frame, 0, 0, 0] = value
        answers(lambda data, size, got=got: got)
        with pytest.raises(ParityError, match=rf"by {value}"):
            parity.check_engine(SimpleNamespace(graph=graph), references)


def test_the_psnr_is_that_of_all_frames_together(bundle, answers):
    graph = bundle.graph("decoder", "fp32")
    references = parity.references(bundle, graph, (Profile.static(SMALL),))
    expected = references[0].expected
    got = expected.copy()
    got[0] ^= 1
    answers(lambda data, size: got)
    figures = parity.check_engine(SimpleNamespace(graph=graph), references)
    assert figures["onnxruntime_max"] == 1
    assert figures["onnxruntime_psnr_dB"] == pytest.approx(parity.psnr_dB(got, expected))
    answers(lambda data, size: expected)
    assert parity.check_engine(SimpleNamespace(graph=graph), references) == {"onnxruntime_max": 0}


def test_without_onnxruntime_the_golden_vectors_do_and_without_both_it_is_an_error(
    bundle, graph, monkeypatch
):
    def refuse(*_):
        raise UnavailableError("onnxruntime: not installed")

    monkeypatch.setattr(parity, "OnnxRuntimeSession", refuse)
    (golden,) = parity.references(bundle, graph, (Profile.static(GOLDEN),))
    assert golden.against == "golden"
    with pytest.raises(UnavailableError, match=r"before it is kept: onnxruntime: not installed"):
        parity.references(bundle, graph, (Profile.static(SMALL),))


@pytest.fixture
def steps(monkeypatch, bundle, tmp_path):
    """A machine on which an engine is built of nothing; gives what was done, in order."""
    done = []
    gpu = Gpu(
        index=0,
        name="Orin",
        compute_capability=(8, 6),
        multiprocessors=14,
        memory_bytes=8 << 30,
        integrated=True,
        cuda_version=(12, 6),
        driver="540.4.0",
    )

    class Session(parity.OnnxRuntimeSession):
        def close(self):
            done.append("reference closed")
            super().close()

    def build_plan(*_, **settings):
        done.append(f"build, for this GPU: {settings['for_this_gpu']}")
        return SimpleNamespace(data=b"plan", timing_cache=None, seconds=1.0, half_share=1.0)

    def load(*_):
        done.append("load")
        return SimpleNamespace(
            engine=None, graph=bundle.graph("encoder", "fp16"), close=lambda: None
        )

    def run(engine, data, size):
        done.append("run")
        return parity.references(bundle, engine.graph, (Profile.static(size),))[0].expected

    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(engines, "gpus", lambda: (gpu,))
    monkeypatch.setattr(engines, "build_plan", build_plan)
    monkeypatch.setattr(engines, "_load", load)
    monkeypatch.setattr(engines, "inspect_engine", lambda *_: LayerTypes(fp16=1))
    monkeypatch.setattr(parity, "_on_device", run)
    monkeypatch.setattr(parity, "OnnxRuntimeSession", Session)
    return done


class Driver:
    """A device that does nothing."""

    device = 0

    def activate(self):
        return contextlib.nullcontext()

    def close(self):
        pass


def prepare(bundle, monkeypatch, flavour):
    monkeypatch.setattr(engines, "open_driver", lambda device: Driver())
    options = BuildOptions(profiles=(Profile.static(SMALL),))
    return engines.prepare(
        bundle, "encoder", precision="fp16", flavour=flavour, device=0, options=options
    )


def test_the_reference_is_computed_and_closed_before_an_engine_takes_memory(
    steps, bundle, monkeypatch
):
    prepare(bundle, monkeypatch, Flavour("tensorrt", "10.3.0", None))
    assert steps[:3] == ["reference closed", "build, for this GPU: False", "load"]


def test_an_engine_of_rtx_is_built_for_the_gpu_that_is_here(steps, bundle, monkeypatch, rtx):
    prepare(bundle, monkeypatch, rtx)
    assert "build, for this GPU: True" in steps


def test_the_key_tells_machines_apart_that_share_a_name(steps, bundle, monkeypatch):
    key = prepare(bundle, monkeypatch, Flavour("tensorrt", "10.3.0", None)).record.key
    assert (key.multiprocessors, key.cuda, key.driver) == (14, "12.6", "540")


def test_an_engine_of_a_profile_that_was_named_is_not_replaced_by_one_that_covers_it(
    steps, bundle, monkeypatch
):
    flavour = Flavour("tensorrt", "10.3.0", None)
    prepare(bundle, monkeypatch, flavour)

    def load(*, exact):
        steps.clear()
        engines.load_engine(
            bundle,
            "encoder",
            precision="fp16",
            flavour=flavour,
            driver=Driver(),
            profile=Profile.static(SMALL),
            options=TensorRtOptions(),
            exact=exact,
        )
        return any(step.startswith("build") for step in steps)

    wide = BuildOptions(profiles=(RANGE,))
    record = EngineCache().entries()[0]
    (EngineCache().folder / record.key.folder_name).rename(EngineCache().folder / "gone")
    engines.prepare(bundle, "encoder", precision="fp16", flavour=flavour, device=0, options=wide)
    assert not load(exact=False)
    assert load(exact=True)
