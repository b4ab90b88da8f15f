"""A speed-up is claimed between equal work only, and what is doubtful is said."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from edgevae.errors import GateError, IncompatibleError, InputError
from edgevae_bench.checkpoint import require_source
from edgevae_bench.claims import NO_BASELINE, warnings, with_speedups
from edgevae_bench.conditions import Conditions
from edgevae_bench.latency import summarise
from edgevae_bench.result import Gates, LatencyRow
from edgevae_bench.subjects import REFERENCE
from edgevae_bench.verdicts import judge, require_passed
from edgevae_bench.work import Work

sys.path.insert(0, str(Path(__file__).parent))

import invented  # found by the line above

OURS = "onnxruntime_fp32"
CASE = invented.CASES[0]
WORK = invented.work(CASE, "call", "encode")


def row(median_ms: float, *, subject: str = OURS, work: Work = WORK) -> LatencyRow:
    return LatencyRow(
        subject=subject,
        work=work,
        latency=summarise([median_ms] * 200),
        frames_per_s=1.0,
        megapixels_per_s=1.0,
        realtime_ratio=None,
        speedup_ratios={},
        no_speedup_reason=None,
        roofline_ratio=None,
    )


def agreeing(psnr: float | None, *, subject: str = OURS, nonfinite: int = 0):
    one = next(r for r in invented.quality_rows() if (r.subject, r.against) == (OURS, REFERENCE))
    return replace(
        one,
        subject=subject,
        quality=replace(one.quality, psnr_db=psnr),
        nonfinite_latents=nonfinite,
    )


def claimed(mine: LatencyRow, base: LatencyRow, psnr: float | None = 70.0) -> LatencyRow:
    return with_speedups([base, mine], [agreeing(psnr)])[1]


def test_equal_work_gets_the_ratio_of_medians():
    found = claimed(row(20.0), row(50.0, subject=REFERENCE))
    assert found.speedup_ratios == {REFERENCE: pytest.approx(2.5)}
    assert found.no_speedup_reason is None
    equal = claimed(row(20.0), row(50.0, subject=REFERENCE), psnr=None)
    assert equal.speedup_ratios == {REFERENCE: pytest.approx(2.5)}


@pytest.mark.parametrize("field", [field.name for field in fields(Work)])
def test_work_that_differs_in_anything_gets_no_ratio(field):
    value = getattr(WORK, field)
    other = replace(WORK, **{field: value + 1 if isinstance(value, int) else f"other {value}"})
    found = claimed(row(20.0, work=other), row(50.0, subject=REFERENCE))
    assert found.speedup_ratios == {}
    assert found.no_speedup_reason
    assert other.difference(WORK).startswith(f"{field} is ")
    assert WORK.difference(WORK) is None


@pytest.mark.parametrize("psnr", [39.9, 0.0])
def test_other_frames_than_the_references_get_no_ratio(psnr):
    found = claimed(row(20.0), row(50.0, subject=REFERENCE), psnr=psnr)
    assert found.speedup_ratios == {}
    assert "not the reference's" in found.no_speedup_reason


def test_a_subject_that_was_not_compared_or_has_no_finite_latents_gets_no_ratio():
    rows = [row(50.0, subject=REFERENCE), row(20.0)]
    assert "was not compared" in with_speedups(rows, [])[1].no_speedup_reason
    bad = with_speedups(rows, [agreeing(70.0, nonfinite=3)])[1]
    assert "3 latents that are not finite" in bad.no_speedup_reason


def test_without_pytorch_there_is_no_ratio():
    assert with_speedups([row(20.0)], [])[0].no_speedup_reason == NO_BASELINE


def test_other_arithmetic_is_not_compared():
    half = replace(WORK, precision="bf16")
    found = claimed(row(20.0, work=half), row(50.0, subject=REFERENCE))
    assert found.no_speedup_reason == f"{REFERENCE}: precision is bf16, the baseline's is fp32"


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


def warned(**changes: object) -> str:
    subject = next(r for r in invented.subject_rows() if r.subject.name == OURS)
    clip = invented.result().clip
    given = {"load": 0.0, "subject": subject, "row": row(5.0), "clip": clip} | changes
    machine = replace(invented.ENVIRONMENT, load_average_1min=given["load"])
    found = warnings(machine, [given["subject"]], [given["row"]], clip=given["clip"], percentile=90)
    return "\n".join(found)


def own(**changes: object):
    subject = next(r for r in invented.subject_rows() if r.subject.name == OURS)
    return replace(subject, **changes)


def seen(**changes: object) -> Conditions:
    return replace(own().conditions, **changes)


def test_a_clean_run_has_no_warning():
    assert warned() == ""
    assert warned(load=None) == ""
    files = row(1.0, work=replace(WORK, boundary="file"))
    assert warned(row=replace(files, latency=summarise([10.0] * 5))) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load": 1.7}, "busy before the run: load average 1.7"),
        ({"subject": own(is_steady=False)}, "still changed after 6 turns of warm-up"),
        (
            {"row": replace(row(1.0), latency=summarise([10.0, 14.0] * 10))},
            "640x360x1 call/host encode 17 %",
        ),
        (
            {"row": replace(row(1.0), latency=summarise([10.0] * 5))},
            "too few samples for the 90th percentile",
        ),
        ({"subject": own(cost=replace(own().cost, torch_loaded=True))}, "PyTorch was loaded"),
        (
            {"subject": own(conditions=seen(throttle_reasons=("power cap",)))},
            "clocks were held down: power cap",
        ),
        ({"subject": own(conditions=seen(steal_ratio=0.2))}, "gave 20 % of the CPU's time"),
        (
            {"subject": own(subject=replace(own().subject, precision="fp16"))},
            "runs fp16 graphs in fp32",
        ),
        (
            {"clip": replace(invented.result().clip, source_width_px=480, source_height_px=270)},
            "quality at 640x360 is of frames enlarged from 480x270",
        ),
    ],
)
def test_doubts_are_said(changes, message):
    assert message in warned(**changes)


def verdicts(gates: Gates, *, nonfinite: int = 0):
    quality = [
        replace(r, nonfinite_latents=nonfinite if r.subject == OURS else 0)
        for r in invented.quality_rows()
    ]
    found = invented.result()
    return judge(gates, found.subjects, found.latency, quality)


def test_a_gate_that_is_kept_passes_and_every_row_has_a_verdict():
    found = verdicts(Gates(min_psnr_db=31.0, max_p99_ms=1e6))
    assert all(v.passed for v in found)
    kinds = [v.gate for v in found]
    assert (kinds.count("finite_latents"), kinds.count("min_psnr_db")) == (6, 6)
    assert kinds.count("max_p99_ms") == 12
    require_passed(replace(invented.result(), verdicts=found))


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (Gates(min_psnr_db=31.5), r"onnxruntime_fp32 at 640x360x1: PSNR against the source 31\.2"),
        (Gates(max_p99_ms=1e-3), r"p99 of encode .*, gate max_p99_ms 0\.001"),
    ],
)
def test_a_gate_that_a_backend_of_ours_misses_is_an_error(gates, message):
    with pytest.raises(GateError, match=message) as caught:
        require_passed(replace(invented.result(), verdicts=verdicts(gates)))
    assert caught.value.exit_code == 3
    assert "pytorch" not in str(caught.value)


def test_latents_that_are_not_finite_miss_a_gate_that_nobody_has_to_set():
    with pytest.raises(GateError, match="latents that are NaN or infinite 4"):
        require_passed(replace(invented.result(), verdicts=verdicts(Gates(), nonfinite=4)))


def test_a_verdict_on_few_samples_says_so():
    notes = {v.note for v in verdicts(Gates(max_p99_ms=1.0)) if v.gate == "max_p99_ms"}
    assert notes == {"only 96 samples, so that it is the longest"}
