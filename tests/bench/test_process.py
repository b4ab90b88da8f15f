"""A subject's process: how it ends is said, whichever way it ends; and the chunks that it runs on."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from edgevae.errors import EdgeVaeError, InputError
from edgevae_bench.clip import Clip
from edgevae_bench.job import Job, timed_chunks
from edgevae_bench.plan import Plan
from edgevae_bench.process import ANSWER_S, SubjectProcess
from edgevae_bench.selection import select
from edgevae_bench.work import Case


@pytest.fixture
def job(tiny_bundle, video, tmp_path):
    plan = Plan(bundle=tiny_bundle, checkpoint=None, video=video, threads=1)
    subject = select(plan).subjects[0]
    return Job(
        subject=subject,
        case=Case(height_px=40, width_px=56, batch_clips=1),
        clip=Clip(path=str(plan.video), max_frames=None, size_px=(40, 56)),
        frames_per_s=25.0,
        chunks=2,
        boundaries=("call",),
        folder=str(tmp_path),
    )


def test_a_process_that_is_killed_says_how_it_ended(job):
    with SubjectProcess(job) as process:
        process.ask("warm_up", max_turns=1)
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(EdgeVaeError, match=r"onnxruntime_fp32: its process ended with SIGKILL"):
            process.ask("turn", boundary="call")


def test_a_process_that_does_not_answer_is_ended(job, monkeypatch):
    monkeypatch.setattr("edgevae_bench.process.ANSWER_S", 0.0)
    with (
        SubjectProcess(job) as process,
        pytest.raises(EdgeVaeError, match=r"no answer within 0 s"),
    ):
        process.ask("warm_up", max_turns=10_000)


def test_it_is_silence_that_is_limited_and_not_work(job, monkeypatch):
    """Warm-up and reconstruction of a large model on a small board take longer than anything else may."""
    with SubjectProcess(job) as process:
        limits, read_line = [], process._read_line
        monkeypatch.setattr(process, "_read_line", lambda s: limits.append(s) or read_line(s))
        assert process.ask("reconstruct", max_frames=None)["chunks"] == 3
        assert limits == [ANSWER_S] * (3 + 1)
        assert process.ask("warm_up", max_turns=2)["turns"] == 2
        assert len(limits) == 4 + 2 + 1


def test_an_error_of_the_subject_keeps_its_kind_and_reason(job):
    gone = replace(job, subject=replace(job.subject, path="/nowhere"))
    with pytest.raises(InputError, match=r"onnxruntime_fp32: /nowhere: no such path"):
        SubjectProcess(gone)


def test_a_clip_of_one_chunk_begins_again_and_clips_of_a_batch_begin_later(job):
    four = replace(job, clip=replace(job.clip, max_frames=4))
    first, second = timed_chunks(four)
    assert np.array_equal(first, second)
    one, two = timed_chunks(job)
    pair = timed_chunks(replace(job, case=replace(job.case, batch_clips=2)))
    assert pair[0].shape == (2, 4, 40, 56, 3)
    assert np.array_equal(pair[0], np.stack([one, two]))
    assert np.array_equal(pair[1], np.stack([two, one]))
