"""What ONNX Runtime's GPU providers say when they do not come up, as seen with onnxruntime-gpu 1.30.0."""

from __future__ import annotations

import pytest

from edgevae.runtime import providers
from edgevae.runtime.trial import Trial

NO_LIBRARY = (
    "\x1b[1;31m2026-11-21 12:39:54.475745984 [E:onnxruntime:Default, provider_bridge_ort.cc:2395 "
    "TryGetProviderInfo_CUDA] /onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988 "
    "onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library "
    "/x/onnxruntime/capi/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object "
    "file: No such file or directory",
    "\x1b[m",
    "\x1b[0;93m2026-11-21 12:39:54.475791642 [W:onnxruntime:Default, onnxruntime_pybind_state.cc:1294 "
    "CreateExecutionProviderFactoryInstance] Failed to create CUDAExecutionProvider. Require cuDNN "
    "9.* and CUDA 13.*.\x1b[m",
)
NO_TENSORRT = (
    "/onnxruntime_src/onnxruntime/python/onnxruntime_pybind_state.cc:728 void "
    "onnxruntime::python::RegisterTensorRTPluginsAsCustomOps(PySessionOptions&, const onnxruntime::ProviderOptions&) "
    "Please install TensorRT libraries as mentioned in the GPU requirements page"
)


@pytest.fixture
def child(monkeypatch):
    """A function that says how the child process ends."""
    providers.failure.cache_clear()

    def child(lines=(), errors=(), failure=None):
        ended = Trial(tuple(lines), tuple(errors), failure)
        monkeypatch.setattr(providers, "try_in_child", lambda code: ended)

    yield child
    providers.failure.cache_clear()


def test_a_provider_that_took_the_graph_has_no_failure(child):
    child(lines=[providers.CUDA])
    assert providers.failure(providers.CUDA, 0) is None


def test_a_missing_library_is_named_with_the_command_that_installs_it(child):
    child(lines=["CPUExecutionProvider"], errors=NO_LIBRARY)
    assert providers.failure(providers.CUDA, 0) == (
        "CUDAExecutionProvider does not come up (libcublasLt.so.13: cannot open shared object file: No such file or "
        "directory); install CUDA's libraries with `pip install 'onnxruntime-gpu[cuda,cudnn]'`"
    )


def test_a_missing_libnvinfer_is_named_with_the_tensorrt_that_is_wanted(child):
    error = "[E:x] with error: libnvinfer.so.10: cannot open shared object file: No such file or directory"
    child(errors=[error], failure="left with code 1")
    assert "it wants the libraries of TensorRT 10; install these, or use --backend tensorrt" in (
        providers.failure(providers.TENSORRT, 0)
    )


def test_tensorrts_libraries_without_a_name_are_said_too(child):
    child(errors=[providers.one_line(RuntimeError(NO_TENSORRT))], failure="left with code 1")
    assert providers.failure(providers.TENSORRT, 0).startswith(
        "TensorrtExecutionProvider does not come up (Please install TensorRT libraries as"
    )


OLD_DRIVER = (
    "[ONNXRuntimeError] : 1 : FAIL : provider_options_utils.h:187 Parse Failed to parse provider option "
    '"device_id": CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; '
    "hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider_info.cc ; line=69 ; "
    "expr=cudaGetDeviceCount(&num_devices);"
)


def test_a_driver_that_is_too_old_for_the_provider_is_said_without_places_in_the_code(child):
    child(errors=[providers.one_line(RuntimeError(OLD_DRIVER))], failure="left with code 1")
    assert providers.failure(providers.CUDA, 0) == (
        "CUDAExecutionProvider does not come up (CUDA failure 35: CUDA driver version is insufficient for CUDA runtime "
        "version); update the NVIDIA driver, or install an older onnxruntime-gpu"
    )


def test_a_missing_driver_is_not_taken_for_a_missing_library_of_cuda(child):
    error = (
        "[E:x] with error: libcuda.so.1: cannot open shared object file: No such file or directory"
    )
    child(lines=["CPUExecutionProvider"], errors=[error])
    assert "; install the NVIDIA driver" in providers.failure(providers.CUDA, 0)


@pytest.mark.parametrize("how", ["crashed with SIGSEGV", "did not end within 60 s"])
def test_a_crash_or_a_hang_of_the_provider_is_a_reason(child, how):
    child(failure=how)
    assert f"CUDAExecutionProvider does not come up ({how})" in providers.failure(providers.CUDA, 0)


def test_the_provider_is_asked_once_per_process(child):
    child(lines=[providers.CUDA])
    assert providers.failure(providers.CUDA, 0) is None
    child(failure="crashed with SIGSEGV")
    assert providers.failure(providers.CUDA, 0) is None
    assert providers.failure(providers.CUDA, 1) is not None


def test_engines_of_the_tensorrt_provider_go_to_the_cache_one_folder_per_graph_and_release(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path))

    def folder(model, version):
        asked = providers.with_options(
            providers.TENSORRT, device=1, precision="fp16", model=model, version=version
        )
        (first, options), (second, cuda) = asked
        assert (first, second) == (providers.TENSORRT, providers.CUDA)
        assert options["device_id"] == cuda["device_id"] == "1"
        assert options["trt_fp16_enable"] == options["trt_engine_cache_enable"] == "True"
        return options["trt_engine_cache_path"]

    folders = {folder(model, version) for model in (b"a", b"b") for version in ("1.29", "1.30")}
    assert len(folders) == 4
    assert all(f.startswith(str(tmp_path / "ort-tensorrt")) for f in folders)


@pytest.mark.parametrize("provider", [providers.CUDA, providers.TENSORRT])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_cuda_computes_float32_in_float32(tmp_path, monkeypatch, provider, precision):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path))
    asked = providers.with_options(
        provider, device=0, precision=precision, model=b"", version="1.30"
    )
    assert dict(asked)[providers.CUDA]["use_tf32"] == "0"
    assert all("use_tf32" not in options for name, options in asked if name != providers.CUDA)


@pytest.mark.parametrize(
    ("provider", "precision", "switch", "is_said"),
    [
        (providers.TENSORRT, "fp32", None, True),
        (providers.TENSORRT, "fp32", "1", True),
        (providers.TENSORRT, "fp32", "0", False),
        (providers.TENSORRT, "fp16", None, False),
        (providers.CUDA, "fp32", None, False),
    ],
)
def test_the_tensorrt_provider_says_that_it_computes_float32_in_tf32(
    tmp_path, monkeypatch, caplog, provider, precision, switch, is_said
):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if switch is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", switch)
    providers.with_options(provider, device=0, precision=precision, model=b"", version="1.30")
    assert ("start the process with NVIDIA_TF32_OVERRIDE=0" in caplog.text) is is_said
