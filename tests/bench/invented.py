"""A result with figures that nobody measured, for what reads results: three subjects, two sizes, samples and all."""

from __future__ import annotations

import random
from dataclasses import replace

from edgevae_bench.artefact import Artefact, GraphFacts
from edgevae_bench.clip import ClipFacts
from edgevae_bench.conditions import Conditions
from edgevae_bench.environment import Environment
from edgevae_bench.latency import summarise
from edgevae_bench.quality import Quality
from edgevae_bench.result import (
    SCHEMA,
    SCHEMA_VERSION,
    Ceiling,
    EnergyRow,
    Gates,
    LatencyRow,
    ModelFacts,
    QualityRow,
    Result,
    Settings,
    Verdict,
)
from edgevae_bench.samples import Sample
from edgevae_bench.subject_row import Cost, SubjectRow
from edgevae_bench.subjects import REFERENCE, Subject
from edgevae_bench.work import BOUNDARIES, OPERATIONS, Case, Work

CASES = (
    Case(height_px=360, width_px=640, batch_clips=1),
    Case(height_px=720, width_px=1280, batch_clips=1),
)
SPEED = {REFERENCE: 1.0, "pytorch_channels_last_fp32": 0.7, "onnxruntime_fp32": 0.5}
"""Time relative to the reference's."""
ROUNDS, CHUNKS, FILE_ROUNDS, STARTS = 12, 8, 3, 12

ENVIRONMENT = Environment(
    cpu_name="Invented CPU <& co> 3.0 GHz",
    physical_cores=2,
    logical_cores=4,
    usable_cores=4,
    ram_bytes=16 << 30,
    os_name="Linux 6.1",
    architecture="x86_64",
    python_version="3.11.2",
    edgevae_version="0.1.0",
    package_versions={
        "numpy": "2.4.6",
        "onnxruntime": "1.31.1",
        "torch": "2.13.0",
        "openvino": None,
    },
    git_commit="0" * 40,
    git_modified=False,
    load_average_1min=0.1,
    is_virtual=True,
    cpu_governor=None,
    power_mode=None,
    gpu=None,
    gpu_power_limit_w=None,
)


def subject(name: str) -> Subject:
    """Return one of the subjects."""
    torch = name.startswith("pytorch")
    return Subject(
        name=name,
        kind="pytorch" if torch else "runtime",
        path="checkpoint" if torch else "bundle",
        backend=name.removeprefix("pytorch_").removesuffix("_fp32"),
        device="cpu",
        precision="fp32",
        threads=2,
        chunk_frames=4,
    )


def work(case: Case, boundary: str, operation: str) -> Work:
    """Return the work of one row."""
    file = boundary == "file"
    return Work(
        boundary=boundary,
        operation=operation,
        arrays="file" if file else "host",
        device="cpu",
        precision="fp32",
        threads=2,
        batch_clips=case.batch_clips,
        sample_frames=32 if file else 4,
        height_px=case.height_px,
        width_px=case.width_px,
        frames_dtype="uint8",
        latents_dtype="float16" if file else "float32",
    )


def samples(seed: int = 7, *, slower: dict[str, float] | None = None) -> list[Sample]:
    """Return every sample of the invented run.

    Args:
        seed: Of the noise.
        slower: Factors on the times of some subjects.
    """
    noise, found = random.Random(seed), []
    for case in CASES:
        for name, speed in SPEED.items():
            for boundary in BOUNDARIES:
                for operation in OPERATIONS:
                    if operation == "round_trip" and boundary != "file":
                        continue
                    w = work(case, boundary, operation)
                    ms = 1e-4 * case.height_px * case.width_px * speed * w.sample_frames
                    ms *= {"encode": 1.0, "decode": 1.9, "round_trip": 2.9}[operation]
                    ms *= (slower or {}).get(name, 1.0)
                    rounds, count = (FILE_ROUNDS, 1) if boundary == "file" else (ROUNDS, CHUNKS)
                    for number in range(rounds):
                        drift = 1 + 0.01 * noise.gauss(0, 1)
                        times = [
                            ms * drift * (1 + 0.02 * abs(noise.gauss(0, 1))) for _ in range(count)
                        ]
                        found.append(
                            Sample(
                                case=str(case),
                                subject=name,
                                boundary=boundary,
                                arrays=w.arrays,
                                operation=operation,
                                round=number,
                                start=number * STARTS // rounds,
                                ms=tuple(times),
                            )
                        )
    return found


def latency(taken: list[Sample]) -> tuple[LatencyRow, ...]:
    """Return the rows of samples."""
    from edgevae_bench.samples import by_row

    rows = []
    everything = by_row(taken)
    for case in CASES:
        for name in SPEED:
            for key, times in everything.items():
                if key.case != str(case) or key.subject != name:
                    continue
                w = work(case, key.boundary, key.operation)
                base = everything[replace(key, subject=REFERENCE)]
                stats = summarise(times)
                rate = w.sample_frames * stats.n / sum(times) * 1e3
                ratio = summarise(base).median_ms / stats.median_ms
                rows.append(
                    LatencyRow(
                        subject=name,
                        work=w,
                        latency=stats,
                        frames_per_s=rate,
                        megapixels_per_s=rate * w.height_px * w.width_px / 1e6,
                        realtime_ratio=rate / 30,
                        speedup_ratios={REFERENCE: ratio},
                        no_speedup_reason=None,
                        roofline_ratio=0.6 if key.boundary == "graph" else None,
                    )
                )
    return tuple(rows)


def quality(psnr: float, frames: int = 32) -> Quality:
    """Return figures around a PSNR."""
    values = tuple(psnr + (0.3 if i % 4 else -0.4) + 0.02 * i for i in range(frames))
    return Quality(
        frames=frames,
        identical_frames=0,
        mse=255**2 / 10 ** (psnr / 10),
        psnr_db=psnr,
        psnr_frame_mean_db=sum(values) / frames,
        worst_frame=0,
        worst_frame_psnr_db=values[0],
        max_levels=97,
        ssim=0.93,
        ms_ssim=0.981,
        motion_psnr_db=psnr + 2,
        boundary_flicker_ratio=1.08,
        frames_psnr_db=values,
    )


def quality_rows() -> tuple[QualityRow, ...]:
    """Return the rows against the source and the reference."""
    rows = []
    for case in CASES:
        for name in SPEED:
            for against, psnr in (("source", 31.2), (REFERENCE, 71.0)):
                if name != against:
                    rows.append(
                        QualityRow(
                            subject=name,
                            case=case,
                            against=against,
                            quality=quality(psnr),
                            lpips=None,
                            vmaf=None,
                            unavailable={"lpips": "lpips is not installed", "vmaf": "no libvmaf"},
                            latents_max_difference=None if against == "source" else 2.4e-6,
                            nonfinite_latents=0,
                            latents_bits_per_pixel=1.0,
                        )
                    )
    return tuple(rows)


def subject_rows() -> tuple[SubjectRow, ...]:
    """Return what each subject is and costs; one is missing."""
    rows = []
    for case in CASES:
        for index, name in enumerate(SPEED):
            facts = [
                GraphFacts(
                    role=role,
                    sha256=f"{index}{role[0]}" * 32,
                    plan_sha256=None,
                    layer_types={"Conv": 24, "Relu": 18, "Concat": 6},
                    profile=None,
                    gflop=12.5 if role == "encoder" else 24.0,
                    least_bytes=30_000_000,
                )
                for role in ("encoder", "decoder")
            ]
            rows.append(
                SubjectRow(
                    subject=subject(name),
                    case=case,
                    status="measured",
                    library_version="1.31.1",
                    artefact=Artefact(graphs=tuple(facts), has_cuda_graphs=None),
                    cost=Cost(
                        import_ms=200.0 + 900 * name.startswith("pytorch"),
                        build_ms=None,
                        load_ms=120.0,
                        first_call_ms=480.0,
                        rss_before_import_bytes=90 << 20,
                        peak_rss_bytes=(220 + 400 * name.startswith("pytorch")) << 20,
                        device_peak_bytes=None,
                        torch_loaded=name.startswith("pytorch"),
                    ),
                    conditions=Conditions(
                        clock_min_mhz=2700.0,
                        clock_median_mhz=2900.0,
                        clock_max_mhz=3000.0,
                        temperature_max_c=None,
                        throttle_reasons=(),
                        has_throttle_reasons=False,
                        steal_ratio=0.01,
                        load_average_max=1.2,
                    ),
                    warm_up_turns=6,
                    is_steady=True,
                    turns=ROUNDS,
                    unmeasured={"energy": "no meter: no powercap, no INA3221, no NVML"},
                )
            )
        rows.append(
            SubjectRow(
                subject=replace(
                    subject("onnxruntime_fp32"),
                    name="openvino_fp32",
                    kind="peer",
                    backend="openvino",
                ),
                case=case,
                status="missing",
                reason="openvino is not installed; `pip install 'edgevae[openvino]'`",
            )
        )
    return tuple(rows)


def result(seed: int = 7, *, slower: dict[str, float] | None = None) -> Result:
    """Return the whole."""
    taken = samples(seed, slower=slower)
    energy = EnergyRow(
        subject="onnxruntime_fp32",
        work=work(CASES[0], "stream", "round_trip"),
        joules_per_frame=0.42,
        power_w=31.0,
        idle_power_w=9.0,
        seconds=2.1,
        meter="RAPL: package-0 and dram, the CPU and its memory",
    )
    return Result(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        created_utc="2026-11-21T12:00:00+00:00",
        command=(
            "edgevae",
            "benchmark",
            "edgevae-video-xs",
            "--size",
            "640x360",
            "--size",
            "1280x720",
        ),
        is_complete=True,
        samples_file="w4-sample.samples.jsonl",
        environment=ENVIRONMENT,
        model=ModelFacts(name="invented", bundle_sha256="a" * 64, checkpoint_sha256="b" * 64),
        clip=ClipFacts(
            name="clip <1>.mp4",
            sha256="c" * 64,
            source_height_px=1080,
            source_width_px=1920,
            frames_per_s=30.0,
        ),
        settings=Settings(
            cases=CASES,
            subjects=(*SPEED, "openvino_fp32"),
            boundaries=BOUNDARIES,
            device="cpu",
            threads=2,
            chunks=CHUNKS,
            rounds=ROUNDS,
            starts=STARTS,
            file_rounds=FILE_ROUNDS,
            percentile=90,
            seed=0,
            is_interleaved=True,
            quality_frames=32,
            gates=Gates(min_psnr_db=30.0, max_p99_ms=100.0),
        ),
        ceilings=(
            Ceiling(
                device="cpu",
                precision="fp32",
                compute_gflop_per_s=182.0,
                compute_kernel="onnxruntime 1.31.1, 3x3 convolution",
                bandwidth_gb_per_s=14.2,
                bandwidth_kernel="numpy copy of 256 MiB",
            ),
        ),
        subjects=subject_rows(),
        latency=latency(taken),
        quality=quality_rows(),
        energy=(energy,),
        verdicts=tuple(
            Verdict(
                subject=name,
                case=case,
                gate="min_psnr_db",
                what="PSNR against the source",
                limit=30.0,
                value=31.2,
                passed=True,
                decides=name == "onnxruntime_fp32",
            )
            for case in CASES
            for name in SPEED
        ),
        warnings=("invented: nobody measured this",),
    )
