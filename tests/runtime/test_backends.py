"""The choice of backend: what was named is taken or is an error, auto takes the best and says why nothing before it."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

import edgevae.cuda.opening
import edgevae.cuda.probe
from edgevae.bundle import Bundle
from edgevae.cuda.probe import Gpu
from edgevae.engine.flavour import Flavour
from edgevae.errors import InputError, UnavailableError
from edgevae.runtime import backends, obstacles, providers
from edgevae.runtime.backends import BACKENDS, Choice, choose, open_session, why_not
from edgevae.runtime.onnxruntime import OnnxRuntimeSession

ORIN = Gpu(
    index=0,
    name="Orin",
    compute_capability=(8, 7),
    multiprocessors=8,
    memory_bytes=8 << 30,
    integrated=True,
    cuda_version=(12, 6),
    driver="540.4.0",
)


@pytest.fixture
def bundle(tiny_bundle):
    return Bundle.open(tiny_bundle)


@pytest.fixture
def machine(monkeypatch):
    """A function that says what of the GPU side is here: which backends can run, and whether there is a GPU at all."""

    def machine(*usable, gpu=True):
        def look(backend, device):
            if device != "cpu" and not gpu:
                yield "no NVIDIA driver; install it"
            elif device != "cpu" and backend not in usable:
                yield f"{backend}: not installed; install it"

        def find(device):
            if gpu:
                return ORIN
            raise UnavailableError("no NVIDIA driver; install it")

        monkeypatch.setattr(backends, "obstacles", look)
        monkeypatch.setattr(backends, "find_gpu", find)

    return machine


def pick(bundle, backend="auto", device="auto", precision=None):
    return choose(bundle, backend=backend, device=device, precision=precision)


@pytest.mark.parametrize(
    ("usable", "expected"),
    [
        (("tensorrt", "tensorrt_rtx", "onnxruntime"), "tensorrt on cuda:0, fp16"),
        (("tensorrt_rtx", "onnxruntime"), "tensorrt_rtx on cuda:0, fp16"),
        (("onnxruntime", "onnxruntime_tensorrt"), "onnxruntime on cuda:0, fp16"),
        (("onnxruntime_tensorrt",), "onnxruntime on cpu, fp32"),
        ((), "onnxruntime on cpu, fp32"),
    ],
)
def test_auto_takes_the_first_that_can_run(bundle, machine, usable, expected):
    machine(*usable)
    assert str(pick(bundle)) == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_that_was_named_is_taken(bundle, machine, backend):
    machine(*BACKENDS)
    choice = pick(bundle, backend=backend)
    assert (choice.backend, choice.device, choice.precision) == (backend, "cuda:0", "fp16")


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx", "onnxruntime_tensorrt"])
def test_a_backend_that_was_named_is_never_replaced(bundle, machine, backend):
    machine("onnxruntime")
    with pytest.raises(
        UnavailableError, match=rf"^backend='{backend}' device='cuda:0': {backend}: not installed"
    ):
        pick(bundle, backend=backend)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_was_named_is_never_replaced_by_the_cpu(bundle, machine, device):
    machine(gpu=False)
    with pytest.raises(UnavailableError, match="no NVIDIA driver") as raised:
        pick(bundle, device=device)
    assert raised.value.exit_code == 5
    assert "\n" not in str(raised.value)
    assert "tensorrt, tensorrt_rtx, onnxruntime on cuda:" in str(raised.value)


def test_the_cpu_that_was_named_is_taken_although_a_gpu_is_here(bundle, machine, caplog):
    machine(*BACKENDS)
    with caplog.at_level(logging.INFO, logger="edgevae"):
        assert str(pick(bundle, device="cpu")) == "onnxruntime on cpu, fp32"
    assert [r.levelno for r in caplog.records] == [logging.INFO]


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx", "onnxruntime_tensorrt"])
def test_a_pair_that_cannot_be_is_an_input_error(bundle, backend):
    with pytest.raises(InputError, match=rf"{backend} needs an NVIDIA GPU"):
        pick(bundle, backend=backend, device="cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "onnx"}, "backend: got 'onnx', expected one of auto, tensorrt, "),
        ({"device": "gpu"}, "device: got 'gpu', expected one of auto, cpu, cuda, cuda:N"),
        ({"device": "cuda:"}, "device: got 'cuda:'"),
        ({"device": "cuda:-1"}, "device: got 'cuda:-1'"),
        ({"precision": "int8"}, "precision: got 'int8', expected fp32 or fp16"),
    ],
)
def test_unknown_names_are_input_errors_with_the_known_ones(bundle, arguments, message):
    with pytest.raises(InputError, match=message):
        pick(bundle, **arguments)


def test_the_second_gpu_is_taken_by_its_number(bundle, machine):
    machine("tensorrt")
    assert pick(bundle, device="cuda:1").index == 1


def test_a_precision_that_was_named_is_taken_on_any_device(bundle, machine):
    machine("tensorrt")
    assert pick(bundle, precision="fp32").precision == "fp32"
    assert pick(bundle, device="cpu", precision="fp16").precision == "fp16"


def test_one_line_says_what_was_taken_and_why_nothing_before_it(bundle, machine, caplog):
    machine("onnxruntime")
    with caplog.at_level(logging.INFO, logger="edgevae"):
        pick(bundle)
    assert [r.getMessage() for r in caplog.records] == [
        "tiny-video: onnxruntime on cuda:0, fp16; not tensorrt, tensorrt_rtx (not installed; install it)"
    ]


def test_a_gpu_that_is_here_and_idle_is_a_warning_and_no_gpu_is_none(bundle, machine, caplog):
    with caplog.at_level(logging.INFO, logger="edgevae"):
        machine()
        pick(bundle)
        machine(gpu=False)
        pick(bundle)
    assert [r.levelno for r in caplog.records] == [logging.WARNING, logging.INFO]
    assert caplog.records[1].getMessage() == (
        "tiny-video: onnxruntime on cpu, fp32; not tensorrt, tensorrt_rtx, onnxruntime on cuda:0 "
        "(no NVIDIA driver; install it)"
    )


def test_the_choice_holds_what_was_skipped(bundle, machine):
    machine("tensorrt_rtx")
    (skipped,) = pick(bundle).skipped
    assert (skipped.name, skipped.reason) == ("tensorrt", "tensorrt: not installed; install it")


def test_the_session_of_a_choice_on_the_cpu_runs(bundle):
    choice = Choice(backend="onnxruntime", device="cpu", precision="fp32")
    with open_session(bundle, "encoder", choice=choice, threads=1) as session:
        assert isinstance(session, OnnxRuntimeSession)


# What stands in the way, on a machine that is made up piece by piece.


@pytest.fixture
def orin(monkeypatch):
    """This machine with a GPU, as far as the probe says; nothing else of it is here."""
    monkeypatch.setattr(edgevae.cuda.probe, "gpus", lambda: (ORIN,))
    return monkeypatch


def test_without_a_driver_nothing_of_tensorrt_is_touched(monkeypatch):
    def refuse():
        raise UnavailableError("libcuda.so.1: no NVIDIA driver; install it")

    def fail(*_):
        raise AssertionError("was touched")

    monkeypatch.setattr(edgevae.cuda.probe, "gpus", refuse)
    monkeypatch.setattr(obstacles, "open_flavour", fail)
    monkeypatch.setattr(obstacles, "import_onnxruntime", fail)
    for backend in BACKENDS:
        assert why_not(backend, "cuda:0") == "libcuda.so.1: no NVIDIA driver; install it"


def test_a_gpu_of_another_number_is_named_with_those_that_are_here(orin):
    assert why_not("tensorrt", "cuda:2") == (
        "cuda:2: there is no such GPU, this machine has cuda:0 (Orin)"
    )


def test_tensorrt_without_cuda_from_python_is_not_usable(orin):
    def refuse(device):
        raise UnavailableError("cuda-python and pycuda: not installed; `pip install pycuda`")

    orin.setattr(obstacles, "open_flavour", lambda name: Flavour(name, "10.3.0", None))
    orin.setattr(edgevae.cuda.opening, "open_driver", refuse)
    assert "`pip install pycuda`" in why_not("tensorrt", "cuda:0")


def test_a_driver_that_is_older_than_the_package_is_named_with_both_versions(orin):
    orin.setattr(obstacles, "open_flavour", lambda name: Flavour(name, "1.7.1", None))
    orin.setattr(obstacles, "_cuda_of", lambda flavour: (13,))
    assert why_not("tensorrt_rtx", "cuda:0") == (
        "tensorrt_rtx is built for CUDA 13, the NVIDIA driver 540.4.0 supports up to 12.6; "
        "update the driver, or install a release for CUDA 12"
    )


@pytest.mark.parametrize(
    ("flavour", "version", "capability", "is_refused"),
    [
        ("tensorrt_rtx", "1.7.1", (7, 0), True),
        ("tensorrt_rtx", "1.7.1", (7, 5), False),
        ("tensorrt_rtx", "1.7.1", (8, 0), False),
        ("tensorrt_rtx", "1.7.1", (9, 0), False),  # in no table of NVIDIA's, so it is tried
        ("tensorrt_rtx", "1.7.1", (12, 1), False),
        ("tensorrt", "10.3.0", (7, 0), False),
        ("tensorrt", "10.5.0", (7, 0), True),
        ("tensorrt", "11.4.0", (7, 5), False),
    ],
)
def test_a_gpu_that_nvidia_has_given_up_is_named(orin, flavour, version, capability, is_refused):
    gpu = replace(ORIN, compute_capability=capability)
    orin.setattr(edgevae.cuda.probe, "gpus", lambda: (gpu,))
    orin.setattr(obstacles, "open_flavour", lambda name: Flavour(name, version, None))
    orin.setattr(obstacles, "_cuda_of", lambda flavour: None)
    orin.setattr(edgevae.cuda.opening, "open_driver", lambda device: SimpleNamespace(close=int))
    reason = why_not(flavour, "cuda:0")
    if is_refused:
        assert reason == (
            f"{flavour} {version}: Orin has compute capability 7.0, expected 7.5 (Turing) or later; use --backend "
            "onnxruntime, or another GPU"
        )
    else:
        assert reason is None


def test_the_cuda_of_a_wheel_is_read_from_its_name():
    pytest.importorskip("tensorrt_rtx")
    assert obstacles._cuda_of("tensorrt_rtx")[0] >= 12
    assert obstacles._cuda_of("tensorrt_nope") is None


@pytest.mark.skipif(
    providers.cuda_version() is not None, reason="this onnxruntime is built for CUDA"
)
@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime_tensorrt"])
def test_onnxruntime_for_cpus_is_named_with_the_command_that_replaces_it(orin, backend):
    reason = why_not(backend, "cuda:0")
    assert "it is the one for CPUs; `pip uninstall -y onnxruntime onnxruntime-gpu`" in reason


def test_both_packages_of_onnxruntime_are_said_to_overwrite_each_other(orin):
    orin.setattr(providers, "distributions", lambda: ("onnxruntime", "onnxruntime-gpu"))
    orin.setitem(sys.modules, "onnxruntime", _Package("1.30.0", ["CPUExecutionProvider"]))
    assert "overwrite each other; `pip uninstall -y" in why_not("onnxruntime", "cuda:0")


def test_on_a_jetson_the_missing_gpu_package_of_onnxruntime_points_to_tensorrt(orin):
    orin.setattr(obstacles, "jetson", lambda: object())
    orin.setitem(sys.modules, "onnxruntime", _Package("1.30.0", ["CPUExecutionProvider"]))
    assert "use --backend tensorrt" in why_not("onnxruntime", "cuda:0")


def test_a_provider_that_does_not_come_up_is_said_with_its_own_reason(orin):
    orin.setitem(sys.modules, "onnxruntime", _Package("1.30.0", [providers.CUDA]))
    orin.setattr(providers, "cuda_version", lambda: (12, 4))
    orin.setattr(providers, "failure", lambda provider, device: f"{provider} on {device} is ill")
    assert why_not("onnxruntime", "cuda:0") == "CUDAExecutionProvider on 0 is ill"


class _Package:
    """What is asked of the module `onnxruntime`."""

    def __init__(self, version, available):
        self.__version__ = version
        self.get_available_providers = lambda: available
