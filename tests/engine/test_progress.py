"""Progress of a build, and Ctrl-C while it runs."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from edgevae.bundle import Bundle
from edgevae.engine.build import BuildOptions, build_plan
from edgevae.engine.profile import Profile, parse_size
from edgevae.engine.progress import TOTAL, BuildMonitor, interruptible
from edgevae.errors import IncompatibleError

OPTIONS = BuildOptions(profiles=(Profile.static(parse_size("64x64")),))


class Monitors:
    """A module with nothing but a monitor, as TensorRT's bindings have it."""

    class IProgressMonitor:
        pass


@pytest.fixture
def decoder(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    graph = bundle.graph("decoder", "fp16")
    return bundle.read(graph.file), graph


def test_nested_phases_become_one_number():
    seen: list[tuple[str, int, int]] = []
    monitor = BuildMonitor(Monitors, lambda *told: seen.append(told)).monitor
    monitor.phase_start("build", None, 2)
    monitor.phase_start("time", "build", 4)
    assert monitor.step_complete("time", 0)
    assert monitor.step_complete("time", 1)
    monitor.phase_finish("time")
    monitor.step_complete("build", 0)
    monitor.phase_finish("build")
    assert seen == [
        ("build", 0, TOTAL),
        ("time", 0, TOTAL),
        ("time", 125, TOTAL),
        ("time", 250, TOTAL),
        ("time", 250, TOTAL),
        ("build", 500, TOTAL),
        ("build", 1000, TOTAL),
    ]


def test_the_progress_of_a_real_build_only_grows_and_ends_at_the_end(rtx, decoder):
    seen: list[tuple[str, int, int]] = []
    build_plan(*decoder, flavour=rtx, options=OPTIONS, progress=lambda *told: seen.append(told))
    done = [d for _, d, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1], len(set(done)) > 20) == (0, TOTAL, True)
    assert "Timing graph nodes" in {phase for phase, _, _ in seen}


def test_an_error_of_the_caller_ends_the_build_and_comes_out(rtx, decoder):
    calls: list[str] = []

    def fail(phase: str, done: int, total: int) -> None:
        calls.append(phase)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        build_plan(*decoder, flavour=rtx, options=OPTIONS, progress=fail)
    assert len(calls) == 1


def test_tensorrt_reports_no_more_once_it_was_told_to_stop(rtx, decoder, monkeypatch):
    phases: list[str] = []
    start = BuildMonitor.phase_start

    def spy(monitor: BuildMonitor, name: str, parent: str | None, steps: int) -> None:
        phases.append(name)
        start(monitor, name, parent, steps)
        if name == "Cloning network graph":
            monitor.stop()

    monkeypatch.setattr(BuildMonitor, "phase_start", spy)
    with pytest.raises(
        IncompatibleError, match="cannot build it"
    ):  # without Ctrl-C it is a failure
        build_plan(*decoder, flavour=rtx, options=OPTIONS)
    assert "Timing graph nodes" not in phases


CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)   # a background shell's children ignore it
from edgevae.bundle import Bundle
from edgevae.engine.build import BuildOptions, build_plan
from edgevae.engine.flavour import open_flavour
from edgevae.engine.profile import Profile, parse_size
bundle = Bundle.open(sys.argv[1])
graph = bundle.graph("decoder", "fp16")
calls = []
def progress(phase, done, total):
    calls.append(phase)
    print(phase, flush=True)
    if phase.startswith("Timing graph"):
        time.sleep(10)
try:
    build_plan(bundle.read(graph.file), graph, flavour=open_flavour("tensorrt_rtx"),
        options=BuildOptions(profiles=(Profile.static(parse_size("64x64")),)), progress=progress)
except KeyboardInterrupt:
    print("INTERRUPTED", calls[-1], signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
else:
    print("BUILT", flush=True)
"""


@pytest.mark.parametrize("at", ["Cloning network graph", "Optimizing graph"])
def test_ctrl_c_ends_a_build_at_its_next_report(rtx, tiny_bundle, at):
    """A real SIGINT while TensorRT holds the main thread."""
    arguments = [sys.executable, "-c", CHILD, str(tiny_bundle)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(at):
                process.send_signal(signal.SIGINT)
                break
        last = process.stdout.read().splitlines()[-1]
    assert process.returncode == 0
    assert last.startswith("INTERRUPTED")
    assert last.endswith("True")  # the handler that was there is back


def test_ctrl_c_calls_the_handler_that_was_there():
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    stopped: list[bool] = []
    try:
        with pytest.raises(KeyboardInterrupt), interruptible(lambda: stopped.append(True)):
            signal.raise_signal(signal.SIGINT)
            assert not seen
        assert (seen, stopped) == ([signal.SIGINT], [True])
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(lambda: pytest.fail("stopped")):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_in_the_block_comes_out_where_nobody_pressed_ctrl_c():
    with pytest.raises(ValueError, match="mine"), interruptible(lambda: None):
        raise ValueError("mine")
