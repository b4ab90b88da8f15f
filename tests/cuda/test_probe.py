"""Which GPUs are here, and why there are none; and opening a driver."""

from __future__ import annotations

import ctypes
import textwrap

import pytest

from edgevae.cuda import probe
from edgevae.cuda.opening import open_driver
from edgevae.errors import InputError, UnavailableError

SHOW = """
from edgevae.cuda.probe import gpus
from edgevae.errors import UnavailableError
try:
    print(gpus())
except UnavailableError as error:
    print("unavailable:", error)
"""


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_a_machine_without_a_driver_says_so_in_one_line():
    for ask in (probe.gpus, open_driver):
        with pytest.raises(
            UnavailableError, match=r"libcuda.so.1: .*no NVIDIA driver: install"
        ) as got:
            ask()
        assert "\n" not in str(got.value)


def test_a_gpu_is_described(run):
    told = {"CAPABILITY": 87, "MULTIPROCESSORS": 16, "INTEGRATED": 1, "CUDA": 12060}
    got = run(SHOW, GPUS=2, MEMORY_MIB=64, **told)
    for part in (
        "index=1, name='Simulated GPU', compute_capability=(8, 7), multiprocessors=16",
        "memory_bytes=67108864, integrated=True, cuda_version=(12, 6)",
    ):
        assert part in got


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"INIT": 100}, "cuInit: CUDA_ERROR_NO_DEVICE (100): the driver sees no GPU"),
        ({"INIT": 803}, "cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): the kernel driver and"),
        ({"INIT": 999}, "cuInit: CUDA_ERROR_UNKNOWN (999): look at `dmesg`"),
        ({"INIT": 12345}, "cuInit: CUDA error 12345 (12345): look at `nvidia-smi`"),
        ({"GPUS": 0}, "cuDeviceGetCount: 0 GPUs"),
    ],
)
def test_a_driver_that_does_not_work_gives_its_reason(run, settings, reason):
    assert run(SHOW, **settings).startswith(f"unavailable: {reason}")


def test_a_call_that_the_driver_refuses_says_what_was_expected_and_what_to_do(run):
    code = """
        from edgevae.cuda.libcuda import call
        from edgevae.errors import DeviceError
        try:
            call("cuCtxSetCurrent", 12345)
        except DeviceError as error:
            print(error)
    """
    assert run(textwrap.dedent(code)).strip() == (
        "cuCtxSetCurrent: CUDA_ERROR_INVALID_CONTEXT, expected CUDA_SUCCESS; look at `nvidia-smi` and `dmesg`, and "
        "start the process again"
    )


def test_a_library_that_is_no_driver_is_not_called(running, tmp_path):
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    folder = running.compile_driver(tmp_path / "broken", source=source)
    assert "libcuda.so.1: is no CUDA driver" in running.run_python(SHOW, folder)


def test_a_file_that_is_no_library_is_not_loaded(running, tmp_path):
    (tmp_path / "libcuda.so.1").write_text("not a library")
    assert "libcuda.so.1: cannot be loaded" in running.run_python(SHOW, tmp_path)


def test_the_kernel_driver_is_read_where_it_says_its_version(tmp_path):
    lines = {
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:09:06": "580.65.06",
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build": "540.4.0",
        "something else": "",
    }
    for line, version in lines.items():
        (tmp_path / "version").write_text(line + "\n")
        assert probe._kernel_driver(tmp_path / "version") == version
    assert probe._kernel_driver(tmp_path / "absent") == ""


def test_opening_says_what_is_wrong_and_what_to_do(run):
    code = """
        import importlib.util
        from edgevae.cuda import opening
        from edgevae.errors import UnavailableError

        def show(*args, **options):
            try:
                opening.open_driver(*args, **options)
            except UnavailableError as error:
                print(error)

        show(1)
        importlib.util.find_spec = lambda name: None
        show()
        show(name="pycuda")
    """
    assert run(textwrap.dedent(code)).splitlines() == [
        "cuda:1: there is no such GPU, expected cuda:0 to cuda:0",
        "cuda-python and pycuda: not installed; `pip install 'cuda-bindings>=12.9.1'` or `pip install pycuda`",
        "pycuda: not installed; `pip install pycuda`",
    ]


def test_a_driver_of_another_name_is_an_error():
    with pytest.raises(
        InputError, match="driver: got 'opencl', expected auto, cuda-python or pycuda"
    ):
        open_driver(name="opencl")
