"""TensorRT under both names: what is missing is said in one line, with what to do."""

from __future__ import annotations

import _thread
import gc
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from edgevae.engine.flavour import Flavour, Log, is_short_of_memory, open_flavour
from edgevae.errors import InputError, UnavailableError


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a module `tensorrt` with given code."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)

    def write(code: str) -> None:
        (tmp_path / "tensorrt.py").write_text(code)

    yield write
    sys.modules.pop("tensorrt", None)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="got 'trt', expected one of tensorrt, tensorrt_rtx"):
        open_flavour("trt")


def test_a_tensorrt_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(
        UnavailableError, match=r"^tensorrt: .*pip install 'edgevae\[tensorrt\]'"
    ) as e:
        open_flavour("tensorrt")
    assert "--system-site-packages" in str(e.value)


@pytest.mark.parametrize(
    "error",
    [
        "ImportError('libnvonnxparser.so.11: cannot open shared object file')",
        "OSError('libnvonnxparser.so.11: cannot open shared object file')",
    ],
)
def test_libraries_that_do_not_load_are_named(install, error):
    install(f"raise {error}")
    with pytest.raises(
        UnavailableError,
        match=r"tensorrt: installed, but its libraries do not load \(libnvonnxparser.so.11: .*LD_LIBRARY_PATH",
    ):
        open_flavour("tensorrt")


def test_a_part_that_is_missing_is_named(install):
    install("import tensorrt_no_such_bindings")
    with pytest.raises(
        UnavailableError, match="installed, but its part tensorrt_no_such_bindings is not"
    ):
        open_flavour("tensorrt")


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0.19", "unknown"])
def test_a_tensorrt_that_is_too_old_is_refused(install, version):
    install(f"__version__ = {version!r}")
    with pytest.raises(
        UnavailableError, match=f"tensorrt: version {version}, expected 10.3 or later"
    ):
        open_flavour("tensorrt")


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_a_tensorrt_that_is_new_enough_is_opened(install, version):
    install(f"__version__ = {version!r}")
    flavour = open_flavour("tensorrt")
    assert str(flavour) == f"tensorrt {version}"
    assert not flavour.is_rtx


def test_the_last_error_of_tensorrt_is_kept_in_one_line(rtx):
    log = Log(rtx)
    assert log.last == "no reason given"
    builder = rtx.module.Builder(log.logger)
    network = builder.create_network(
        1 << int(rtx.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    assert not rtx.module.OnnxParser(network, log.logger).parse(b"no graph")
    assert "Failed to parse" in log.last or "parse" in log.last
    assert "\n" not in log.last


def refuse(rtx, log):
    """Have TensorRT log an error, from the calling thread."""
    builder = rtx.module.Builder(log.logger)
    flag = 1 << int(rtx.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flag)
    assert builder.build_serialized_network(network, builder.create_builder_config()) is None


def test_a_tensorrt_has_one_logger_that_outlives_every_log(rtx):
    one, other = Log(rtx), Log(rtx)
    assert one.logger is other.logger
    logger, log = weakref.ref(one.logger), weakref.ref(one)
    gc.collect()
    gc.disable()  # a log in no cycle is freed at once
    try:
        del one, other
        assert log() is None
    finally:
        gc.enable()
    assert logger() is not None


def test_a_log_sees_the_errors_although_another_one_came_first_and_is_gone(rtx):
    """TensorRT calls the first logger as long as it has a builder at all: freed, it would be called all the same."""
    first = Log(rtx)
    builder = rtx.module.Builder(first.logger)
    second = Log(rtx)
    kept = rtx.module.Builder(second.logger)
    del first, builder
    gc.collect()
    refuse(rtx, second)
    assert "Network must have at least one output" in second.last
    del kept


def test_what_came_before_is_forgotten(rtx):
    log = Log(rtx)
    refuse(rtx, log)
    assert "Network must have" in log.last
    assert Log(rtx).last == "no reason given"
    log.clear()
    assert (log.last, log.errors) == ("no reason given", ())


def test_a_thread_sees_its_own_errors_and_those_of_tensorrts_threads(rtx):
    log = Log(rtx)

    def elsewhere(work):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    elsewhere(lambda: refuse(rtx, log))
    assert log.last == "no reason given"
    refuse(rtx, log)
    elsewhere(log.clear)
    assert "Network must have" in log.last
    log.clear()
    done = threading.Event()

    def complain():
        log.logger.log(rtx.module.ILogger.ERROR, "from a thread\nof TensorRT")
        done.set()

    _thread.start_new_thread(complain, ())  # one that the module threading does not know
    assert done.wait(30)
    assert log.errors == ("from a thread of TensorRT",)


def test_thousands_of_logs_and_errors_take_no_more_memory(rtx):
    kept = Log(rtx)
    for _ in range(2000):
        log = Log(rtx)
        log.logger.log(rtx.module.ILogger.ERROR, "again")
    assert len(kept.errors) <= 256
    assert (
        sum(
            type(o).__name__ == "Logger" and isinstance(o, rtx.module.ILogger)
            for o in gc.get_objects()
        )
        <= 1
    )


def test_a_process_that_ends_with_a_builder_alive_ends_well(rtx):
    code = """
        from edgevae.engine.flavour import Log, open_flavour
        flavour = open_flavour("tensorrt_rtx")
        log = Log(flavour)
        builder = flavour.module.Builder(log.logger)

        class Late:
            def __del__(self):
                self.log(self.kind, "said while Python ends")

        late = Late()
        late.log, late.kind = log.logger.log, flavour.module.ILogger.ERROR
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error Code 2: OutOfMemory (Requested size was 4294967296 bytes.)", True),
        ("Error Code 1: Cuda Runtime (out of memory)", True),
        ("CUDA error CUDA_ERROR_OUT_OF_MEMORY", True),
        ("cudaErrorMemoryAllocation", True),
        ("There may not be enough free memory for allocation to succeed.", True),
        ("Skipping tactic 0x1 due to insufficient memory on requested size of 9 bytes", False),
        ("Error Code 4: API Usage Error (Network must have at least one output.)", False),
        ("no reason given", False),
    ],
)
def test_errors_that_say_that_memory_is_short_are_known(text, expected):
    assert is_short_of_memory(text) is expected


@pytest.mark.parametrize(
    ("capability", "expected"), [("7.5", True), ("8.9", True), ("12.0", True), ("9.0", False)]
)
def test_which_gpus_an_engine_can_be_built_for_alone_is_asked_of_tensorrt(
    rtx, capability, expected
):
    assert rtx.has_target(capability) is expected
    assert not Flavour("tensorrt", rtx.version, rtx.module).has_target(capability)
