"""CUDA graphs through cuda-bindings, over the simulated driver."""

from __future__ import annotations

ADD_ONE = """
import ctypes
a, source, target = driver.allocate(1000), driver.allocate_host(1000), driver.allocate_host(1000)

def enqueue():
    driver.copy_to_device(a, source.array.ctypes.data, 1000, s)
    do(lambda: simulator.view(a, 1000).__iadd__(1))
    driver.copy_to_host(target.array.ctypes.data, a, 1000, s)
"""


def test_a_graph_does_again_what_was_noted_with_new_data(with_graphs):
    with_graphs(
        ADD_ONE
        + """
target.array[:] = 0
driver.begin_capture(s)
enqueue()
graph = driver.end_capture(s)
driver.synchronize(s)
assert not target.array.any()
other = driver.create_stream()
for i in range(5):
    source.array[:] = i
    stream = (s, other)[i % 2]
    driver.launch(graph, stream)
    driver.synchronize(stream)
    assert (target.array == i + 1).all()
driver.destroy_graph(graph), driver.free(a), driver.free_host(source), driver.free_host(target)
driver.destroy_stream(s), driver.destroy_stream(other), driver.close()
assert simulator.alive() == {}
"""
    )


def test_a_capture_has_ended_after_an_error_too(with_graphs):
    with_graphs(
        ADD_ONE
        + """
driver.begin_capture(s)
with pytest.raises(DeviceError, match="cuStreamSynchronize: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"):
    driver.synchronize(s)
with pytest.raises(DeviceError, match="cuStreamEndCapture: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"):
    driver.end_capture(s)
with driver.activate():
    assert not simulator.is_capturing(s)
source.array[:] = 1
enqueue()
driver.synchronize(s)
assert (target.array == 2).all()
assert simulator.alive().get("graphs") is None
"""
    )


def test_other_threads_may_allocate_during_a_capture_and_its_own_may_not(with_graphs):
    with_graphs(
        ADD_ONE
        + """
got = []
driver.begin_capture(s)
enqueue()
thread = threading.Thread(target=lambda: got.append(driver.allocate(10)))
thread.start(), thread.join()
assert len(got) == 1
driver.destroy_graph(driver.end_capture(s))
driver.begin_capture(s)
with pytest.raises(DeviceError, match="CAPTURE_UNSUPPORTED"):
    driver.allocate(10)
with pytest.raises(DeviceError, match="CAPTURE_INVALIDATED"):
    driver.end_capture(s)
"""
    )


def test_the_default_stream_cannot_be_captured(with_graphs):
    with_graphs("""
        with pytest.raises(DeviceError, match="cuStreamBeginCapture: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"):
            driver.begin_capture(0)
    """)
