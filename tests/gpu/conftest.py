"""Tests on a device: a real GPU where there is one, else (see tests/runtime/test_on_simulator.py) the simulated one."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

import edgevae
from edgevae.cuda.arrays import DeviceArray

SIMULATED = os.environ.get("EDGEVAE_SIMULATED_DEVICE") == "1"
BACKENDS = ("tensorrt", "tensorrt_rtx")


@pytest.fixture(autouse=True)
def clean_device():
    """What only the simulator can see: nothing was touched after its end, and nothing is left when a test ends."""
    if not SIMULATED:
        yield
        return
    import simulator
    import tensorrt

    before = simulator.alive()
    yield
    gc.collect()
    assert simulator.violation() == ""
    assert simulator.errors == []
    assert tensorrt.violations == []
    assert simulator.alive() == before


@pytest.fixture
def is_simulated():
    """Whether the device is the simulated one, which is slow."""
    return SIMULATED


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """An engine cache of this run: engines are built once and then found."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["EDGEVAE_CACHE_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def backend(cache):
    """The first TensorRT that is usable here; tests are skipped with the reason where none is."""
    from edgevae.runtime.backends import why_not

    reasons = {name: why_not(name, "cuda:0") for name in BACKENDS}
    for name, reason in reasons.items():
        if reason is None:
            return name
    pytest.skip("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))


@pytest.fixture
def driver(backend):
    """The CUDA driver; what a test leaves allocated is its own business."""
    from edgevae.cuda.opening import open_driver

    driver = open_driver(0)
    yield driver
    driver.close()


class OnDevice:
    """Arrays on the device, made and read back through the driver."""

    def __init__(self, driver) -> None:
        self._driver, self._stream = driver, driver.create_stream()
        self._addresses: list[int] = []

    def put(self, array: np.ndarray) -> DeviceArray:
        array = np.ascontiguousarray(array)
        address = self._driver.allocate(array.nbytes)
        self._addresses.append(address)
        self._driver.copy_to_device(address, array.ctypes.data, array.nbytes, self._stream)
        self._driver.synchronize(self._stream)
        return DeviceArray(address, array.shape, array.dtype, self._driver.device, owner=self)

    def get(self, array) -> np.ndarray:
        interface = array.__cuda_array_interface__
        host = np.empty(interface["shape"], np.dtype(interface["typestr"]))
        self._driver.copy_to_host(host.ctypes.data, interface["data"][0], host.nbytes, self._stream)
        self._driver.synchronize(self._stream)
        return host

    def free(self) -> None:
        for address in self._addresses:
            self._driver.free(address)
        self._driver.destroy_stream(self._stream)


@pytest.fixture
def on_device(driver):
    arrays = OnDevice(driver)
    yield arrays
    arrays.free()


@pytest.fixture
def stream(driver):
    """A CUDA stream, as a caller has one."""
    handle = driver.create_stream()
    yield handle
    driver.synchronize(handle)
    driver.destroy_stream(handle)


@pytest.fixture
def load(backend, tiny_bundle):
    """A function that loads the tiny video model (or another bundle) on the device."""

    def load(bundle=tiny_bundle, *, precision="fp16", **options):
        return edgevae.load(
            bundle,
            backend=backend,
            precision=precision,
            tensorrt=edgevae.TensorRtOptions(**options),
        )

    return load


@pytest.fixture
def reference(tiny_bundle):
    """The tiny video model in ONNX Runtime on the CPU, in fp32."""
    with edgevae.load(tiny_bundle, backend="onnxruntime", device="cpu", precision="fp32") as vae:
        yield vae
