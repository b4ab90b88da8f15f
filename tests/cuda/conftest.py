"""Fixtures: the simulated driver, compiled once, and Python run on it."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SIMULATOR = Path(__file__).parents[1] / "simulator"

PRELUDE = """
import os, threading, time
import numpy as np, pytest, simulator
from edgevae.cuda.opening import open_driver
from edgevae.errors import DeviceError, InputError, OutOfMemoryError

driver = open_driver(0, name={driver!r})
s = driver.create_stream()

def put(array, address=None):
    address = address or driver.allocate(array.nbytes)
    driver.copy_to_device(address, array.ctypes.data, array.nbytes, s)
    return address

def get(address, like):
    host = np.empty_like(like)
    driver.copy_to_host(host.ctypes.data, address, host.nbytes, s)
    driver.synchronize(s)
    return host

def do(work, stream=s):
    with driver.activate():
        simulator.enqueue_host(stream, work)

x = np.arange(1000, dtype=np.uint8)
"""

EPILOGUE = """
assert not simulator.errors, simulator.errors
"""


@pytest.fixture(scope="session")
def running() -> ModuleType:
    """The module that compiles the simulated driver and runs Python on it."""
    spec = importlib.util.spec_from_file_location("running", SIMULATOR / "running.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reason = module.why_not()
    if reason is not None:
        pytest.skip(f"no simulated driver: {reason}")
    return module


@pytest.fixture(scope="session")
def simulator(running: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the simulated `libcuda.so.1`."""
    return running.compile_driver(tmp_path_factory.mktemp("simulator"))


@pytest.fixture
def run(running: ModuleType, simulator: Path) -> Callable[..., str]:
    """A function that runs Python code on the simulated driver and returns what it printed."""
    return lambda code, **settings: running.run_python(code, simulator, **settings)


@pytest.fixture(params=["cuda-python", "pycuda"])
def with_driver(request: pytest.FixtureRequest, run: Callable[..., str]) -> Callable[..., str]:
    """A function like `run`, for code that finds `driver` open, a stream `s`, data `x`, and `put`, `get` and `do`."""
    package = {"cuda-python": "cuda", "pycuda": "pycuda"}[request.param]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{request.param} is not installed")
    prelude = PRELUDE.format(driver=request.param)
    return lambda code, **settings: run(prelude + textwrap.dedent(code) + EPILOGUE, **settings)


@pytest.fixture
def with_graphs(run: Callable[..., str]) -> Callable[..., str]:
    """As `with_driver`, only for the driver that has CUDA graphs."""
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    prelude = PRELUDE.format(driver="cuda-python")
    return lambda code, **settings: run(prelude + textwrap.dedent(code) + EPILOGUE, **settings)
