"""The choice of backend, and arrays on the GPU as ONNX Runtime binds them, on the simulated driver.

ONNX Runtime's CUDA provider itself needs a real GPU: what it does with the bound memory is not seen here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

RUNNING = Path(__file__).parents[1] / "simulator" / "running.py"

GPU_ARRAYS = """
    import threading, time
    import numpy as np, pytest, simulator
    from edgevae.cuda.arrays import DeviceArray
    from edgevae.cuda.opening import open_driver
    from edgevae.errors import InputError
    from edgevae.runtime.bound_array import GpuArrays
    from edgevae.spec import TensorSpec

    spec = TensorSpec(name="frames", dtype="uint8", shape=("4*batch", "height", "width", 3))
    shape = spec.resolve({"batch": 2, "height": 8, "width": 8})
    driver = open_driver(0)
    mine = driver.create_stream()
    x = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    def array(shape=shape, dtype=np.uint8, device=0):
        return DeviceArray(driver.allocate(x.nbytes), shape, np.dtype(dtype), device, owner=None)
    def bind(array, stream=None):
        return arrays.bind(array, spec, shape, stream=stream, writable=False)
    arrays = GpuArrays(0)
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A function that runs Python code on the simulated driver, with the real packages, and returns what it printed."""
    pytest.importorskip("cuda.bindings")
    spec = importlib.util.spec_from_file_location("running", RUNNING)
    running = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(running)
    reason = running.why_not()
    if reason is not None:
        pytest.skip(f"no simulated driver: {reason}")
    folder = running.compile_driver(tmp_path_factory.mktemp("simulator"))
    return lambda code: running.run_python(code, folder)


def test_a_backend_that_can_run_is_taken_with_the_gpu_that_is_here(simulated, tiny_bundle):
    pytest.importorskip("tensorrt_rtx")
    said = simulated(f"""
        import sys, simulator
        sys.path[:] = [p for p in sys.path if not p.endswith("simulator")]  # the real TensorRT
        from edgevae.bundle import Bundle
        from edgevae.runtime.backends import choose, why_not
        bundle = Bundle.open({str(tiny_bundle)!r})
        print(choose(bundle, backend="tensorrt_rtx", device="auto", precision=None))
        print(why_not("tensorrt_rtx", "cuda:7"))
    """)
    assert said.splitlines() == [
        "tensorrt_rtx on cuda:0, fp16",
        "cuda:7: there is no such GPU, this machine has cuda:0 (Simulated GPU)",
    ]


def test_an_array_on_the_gpu_is_bound_in_place_once_its_stream_is_done(simulated):
    simulated(
        GPU_ARRAYS
        + """
    full = array()
    def fill():
        time.sleep(0.2)
        simulator.view(full.address, x.nbytes)[:] = x.ravel()
    with driver.activate():
        simulator.enqueue_host(mine, fill)
    bound = bind(full, stream=mine)
    assert bound.arguments == ("cuda", 0, np.uint8, shape, full.address)
    assert np.array_equal(simulator.view(full.address, x.nbytes), x.ravel()), "came too early"
    folded = bind(full.reshape((2, 4, 8, 8, 3)))
    assert folded.shape == shape
    assert folded.address == full.address
    """
    )


def test_arrays_that_do_not_fit_are_refused(simulated):
    simulated(
        GPU_ARRAYS
        + """
    with pytest.raises(InputError, match=r"frames: got float32 .*, expected uint8"):
        bind(array(dtype=np.float32))
    with pytest.raises(InputError, match=r"got uint8 \\[8, 8, 3, 8\\]"):
        bind(array(shape=(8, 8, 3, 8)))
    with pytest.raises(InputError, match="is on cuda:1, expected cuda:0"):
        bind(array(device=1))
    with pytest.raises(InputError, match="got list, expected a numpy array or an array on the GPU"):
        bind([1, 2])
    """
    )


def test_closing_gives_back_all_that_binding_took(simulated):
    simulated(
        GPU_ARRAYS
        + """
    before = simulator.alive()
    one = array()
    bind(one)
    assert simulator.alive() != before
    arrays.close()
    arrays.close()
    driver.free(one.address)
    assert simulator.alive() == before
    """
    )
