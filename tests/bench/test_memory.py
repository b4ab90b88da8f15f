"""Load time and memory come from a process that has nothing but the subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevae.errors import EdgeVaeError
from edgevae_bench.clip import Clip
from edgevae_bench.memory import STATUS, ProcessFigures, measure_process
from edgevae_bench.subjects import Subject, pytorch_subjects, runtime_subject

MIB = 2**20

linux = pytest.mark.skipif(not STATUS.exists(), reason="peak memory is read from /proc")


def runtime_of(bundle: Path) -> Subject:
    return runtime_subject(bundle, backend="auto", device="auto", precision=None, threads=1)[0]


def measured(subject: Subject, video: Path, *, frames: int | None = None) -> ProcessFigures:
    return measure_process(subject, Clip(path=str(video), max_frames=frames))


@linux
def test_the_runtimes_process_has_no_pytorch_and_says_what_it_took(tiny_bundle, video):
    found = measured(runtime_of(tiny_bundle), video)
    assert found.torch_loaded is False
    assert found.frames == 11
    assert min(found.import_ms, found.load_ms, found.first_chunk_ms) > 0
    assert found.rss_before_import_bytes is not None
    assert found.peak_rss_bytes is not None
    assert 10 * MIB < found.rss_before_import_bytes < found.peak_rss_bytes < 400 * MIB


@linux
def test_the_peak_is_not_inherited_from_the_process_that_asks(tiny_bundle, video):
    held = np.ones(600 * MIB, np.uint8)
    found = measured(runtime_of(tiny_bundle), video, frames=4)
    assert held.nbytes > 500 * MIB
    assert found.peak_rss_bytes is not None
    assert found.peak_rss_bytes < 400 * MIB


def test_the_baselines_process_has_pytorch(tiny_checkpoint, video):
    pytest.importorskip("torch")
    found = measured(
        pytorch_subjects(tiny_checkpoint, threads=1, chunk_frames=4)[0], video, frames=4
    )
    assert (found.torch_loaded, found.frames) == (True, 4)


def test_a_process_that_fails_gives_its_reason(own_bundle, video):
    subject = runtime_of(own_bundle)
    graph = own_bundle / "decoder.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(
        EdgeVaeError,
        match=r"onnxruntime_fp32: its process .* failed: .*decoder\.fp32\.onnx: \d+ bytes",
    ):
        measured(subject, video)
