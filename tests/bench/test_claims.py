"""A speed-up is claimed between equal work only."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import pytest

from edgevae.errors import IncompatibleError, InputError
from edgevae_bench.claims import (
    difference,
    latency_rows,
    require_same_spec,
    require_source,
    speedup,
    warnings,
)
from edgevae_bench.clock import WarmUp, summarise
from edgevae_bench.environment import describe
from edgevae_bench.memory import ProcessFigures
from edgevae_bench.result import LatencyRow, ProcessRow, Work
from edgevae_bench.subjects import open_subject, pytorch_subjects, runtime_subject

WORK = Work(
    boundary="stream",
    operation="encode",
    device="cpu",
    precision="fp32",
    threads=2,
    batch_clips=1,
    chunk_frames=4,
    height_px=360,
    width_px=640,
    frames_dtype="uint8",
    latents_dtype="float32",
)


def row(median_ms: float, *, subject: str = "a", work: Work = WORK) -> LatencyRow:
    latency = summarise([int(median_ms * 1e6)] * 3)
    return LatencyRow(
        subject=subject,
        work=work,
        latency=latency,
        frames_per_s=1.0,
        speedup_ratio=None,
        no_speedup_reason=None,
    )


def test_equal_work_gets_the_ratio_of_medians():
    claimed = speedup(row(20.0), row(50.0), agreement_db=80.0)
    assert (claimed.speedup_ratio, claimed.no_speedup_reason) == (pytest.approx(2.5), None)
    assert speedup(row(20.0), row(20.0), agreement_db=None).speedup_ratio == 1.0
    assert speedup(row(20.0), row(50.0), agreement_db=math.inf).speedup_ratio == pytest.approx(2.5)


@pytest.mark.parametrize("field", [field.name for field in fields(Work)])
def test_work_that_differs_in_anything_gets_no_ratio(field):
    value = getattr(WORK, field)
    other = replace(WORK, **{field: value + 1 if isinstance(value, int) else f"other {value}"})
    claimed = speedup(row(20.0, work=other), row(50.0), agreement_db=80.0)
    assert claimed.speedup_ratio is None
    assert claimed.no_speedup_reason is not None
    assert claimed.no_speedup_reason.startswith(f"{field} is ")
    assert difference(WORK, WORK) is None


@pytest.mark.parametrize("agreement_db", [39.9, 0.0, math.nan])
def test_other_frames_than_the_baseline_get_no_ratio(agreement_db):
    claimed = speedup(row(20.0), row(50.0), agreement_db=agreement_db)
    assert claimed.speedup_ratio is None
    assert "not the baseline's" in str(claimed.no_speedup_reason)


def test_without_a_baseline_there_is_no_ratio(tiny_bundle):
    subject, _, _ = runtime_subject(
        tiny_bundle, backend="auto", device="auto", precision=None, threads=1
    )
    rows = latency_rows(
        [subject], {subject.name: {"encode": summarise([8_000_000])}}, [], size_px=(360, 640)
    )
    assert [(r.subject, r.speedup_ratio, r.frames_per_s) for r in rows] == [
        ("onnxruntime_fp32", None, 500.0)
    ]
    assert "--against" in str(rows[0].no_speedup_reason)
    assert rows[0].work == replace(WORK, threads=1)


def test_half_precision_is_not_compared_with_single(tiny_bundle, tiny_checkpoint):
    half, _, _ = runtime_subject(
        tiny_bundle, backend="auto", device="auto", precision="fp16", threads=1
    )
    eager = pytorch_subjects(tiny_checkpoint, threads=1, chunk_frames=4)[0]
    latencies = {s.name: {"encode": summarise([1_000_000])} for s in (eager, half)}
    rows = latency_rows([eager, half], latencies, [], size_px=(360, 640))
    assert rows[0].speedup_ratio == 1.0
    assert rows[1].no_speedup_reason == "precision is fp16, the baseline's is fp32"


def test_the_checkpoint_must_be_what_the_bundle_was_exported_from(
    tiny_bundle, tiny_checkpoint, own_checkpoint
):
    assert len(require_source(tiny_bundle, tiny_checkpoint)) == 64
    weights = own_checkpoint / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IncompatibleError, match="weights have sha256"):
        require_source(tiny_bundle, own_checkpoint)
    weights.unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        require_source(tiny_bundle, own_checkpoint)


def test_a_changed_config_is_found_though_the_weights_are_the_same(tiny_bundle, own_checkpoint):
    pytest.importorskip("torch")
    config = own_checkpoint / "config.json"
    values = json.loads(config.read_text())
    values["latent_mean"][0] += 0.5
    config.write_text(json.dumps(values))
    subject, _, _ = runtime_subject(
        tiny_bundle, backend="auto", device="auto", precision=None, threads=1
    )
    baseline = pytorch_subjects(own_checkpoint, threads=1, chunk_frames=4)[0]
    with open_subject(subject) as runtime, open_subject(baseline) as pytorch:
        require_same_spec({"pytorch_eager": runtime, "runtime": runtime})
        with pytest.raises(IncompatibleError, match="latent normalisation"):
            require_same_spec({"pytorch_eager": pytorch, "runtime": runtime})


def figures(**changes: object) -> ProcessFigures:
    plain = ProcessFigures(
        import_ms=1.0,
        load_ms=1.0,
        first_chunk_ms=1.0,
        frames=8,
        rss_before_import_bytes=1,
        peak_rss_bytes=2,
        torch_loaded=False,
    )
    return replace(plain, **changes)


def warned(**changes: object) -> str:
    given = {
        "load": 0.0,
        "warm": WarmUp(rounds=6, unsteady=()),
        "row": row(5.0, subject="runtime"),
        "process": figures(),
    } | changes
    found = warnings(
        replace(describe(), load_average_1min=given["load"]),
        given["warm"],
        [given["row"]],
        [ProcessRow(subject="runtime", process=given["process"])],
        runtime="runtime",
    )
    return "\n".join(found)


def test_a_clean_run_has_no_warning():
    assert warned() == ""
    assert warned(load=None) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load": 1.7}, "busy before the run: load average 1.7"),
        (
            {"warm": WarmUp(rounds=15, unsteady=("a", "b"))},
            "after 15 rounds of warm-up these still changed: a, b",
        ),
        (
            {
                "row": replace(
                    row(1.0, subject="runtime"), latency=summarise([10_000_000, 14_000_000])
                )
            },
            "runtime encode 24 %",
        ),
        ({"process": figures(peak_rss_bytes=None)}, "no peak memory"),
        ({"process": figures(torch_loaded=True)}, "PyTorch was loaded in the runtime's process"),
    ],
)
def test_doubts_are_said(changes, message):
    assert message in warned(**changes)
