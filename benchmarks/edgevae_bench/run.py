"""A whole benchmark: open the subjects, time them, compare what they make, weigh them, and say what may be claimed."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae_bench import claims
from edgevae_bench.clip import Clip, facts, parts
from edgevae_bench.clock import Latency, WarmUp
from edgevae_bench.comparison import SOURCE, Comparison, Shown, compare_subjects, pick_shown
from edgevae_bench.environment import Environment, describe
from edgevae_bench.memory import measure_process
from edgevae_bench.plan import Found, Plan, Progress
from edgevae_bench.result import (
    SCHEMA,
    SCHEMA_VERSION,
    ModelFacts,
    Operation,
    ProcessRow,
    QualityRow,
    Result,
)
from edgevae_bench.subjects import (
    BASELINE,
    AnyCodec,
    Subject,
    open_subject,
    pytorch_subjects,
    require_pytorch,
    runtime_subject,
)
from edgevae_bench.timing import time_subjects

TIMED_CHUNKS, TIMED_BYTES = 8, 1 << 28
"""The clock runs over this many chunks at most, which are held in memory; over fewer where frames are large."""


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What came off the opened subjects."""

    size_px: tuple[int, int]
    timed_frames: int
    warm: WarmUp
    latencies: dict[str, dict[Operation, Latency]]
    quality: tuple[QualityRow, ...]
    shown: tuple[Shown, ...]
    frames: int
    notes: tuple[str, ...]


def run(plan: Plan, *, progress: Progress = lambda what, done, of: None) -> Found:
    """Return the figures of a plan.

    Raises:
        InputError: more threads than cores, a clip of fewer frames than one chunk, or a file that cannot be used.
        IncompatibleError: the checkpoint is not what the bundle was exported from.
        EdgeVaeError: a subject cannot be loaded or run.
    """
    environment = describe()  # first, so that the load average is not our own
    if plan.threads > environment.usable_cores:
        raise InputError(
            f"threads: got {plan.threads}, expected at most the {environment.usable_cores} cores of this process"
        )
    subjects, model = _subjects(plan)
    measured = _measure(subjects, plan, progress)
    processes = []
    for done, subject in enumerate(subjects):
        progress("load time and memory", done, len(subjects))
        figures = measure_process(subject, plan.clip)
        processes.append(ProcessRow(subject=subject.name, process=figures))
    result = _result(plan, environment, model, subjects, measured, tuple(processes))
    return Found(result=result, shown=measured.shown, shown_subject=subjects[-1].name)


def _subjects(plan: Plan) -> tuple[tuple[Subject, ...], ModelFacts]:
    """Return the subjects, the runtime last, and what the model is."""
    if plan.checkpoint is not None:
        require_pytorch()
    runtime, name, bundle_sha256 = runtime_subject(
        plan.bundle,
        backend=plan.backend,
        device=plan.device,
        precision=plan.precision,
        threads=plan.threads,
    )
    digest, baselines = None, tuple[Subject, ...]()
    if plan.checkpoint is not None:
        digest = claims.require_source(plan.bundle, plan.checkpoint)
        chunk_frames = runtime.chunk_frames
        baselines = pytorch_subjects(
            plan.checkpoint, threads=plan.threads, chunk_frames=chunk_frames
        )
    model = ModelFacts(name=name, bundle_sha256=bundle_sha256, checkpoint_sha256=digest)
    return (*baselines, runtime), model


def _measure(subjects: Sequence[Subject], plan: Plan, progress: Progress) -> _Measured:
    """Open all subjects in this process, and measure what takes their turns or their frames."""
    runtime = subjects[-1]
    timed = _whole_chunks(plan.clip, chunk_frames=runtime.chunk_frames)
    rounds = itertools.count(1)
    with contextlib.ExitStack() as stack:
        codecs = {subject.name: stack.enter_context(open_subject(subject)) for subject in subjects}
        claims.require_same_spec(codecs)
        progress("warm up", 0, None)
        warm, latencies = time_subjects(
            codecs,
            timed,
            rounds=plan.rounds,
            max_warm_up_rounds=plan.max_warm_up_rounds,
            seed=plan.seed,
            on_round=lambda: progress("time", next(rounds), plan.rounds),
        )
        comparisons, shown, notes = _compare(codecs, plan, progress, shown_subject=runtime.name)
        period = codecs[runtime.name].spec.temporal_factor
    frames = len(comparisons[runtime.name, SOURCE].scores)
    if plan.clip.max_frames is not None and frames < plan.clip.max_frames:
        notes.append(f"the clip has only {frames} of the {plan.clip.max_frames} frames asked for")
    return _Measured(
        size_px=(timed[0].shape[1], timed[0].shape[2]),
        timed_frames=sum(map(len, timed)),
        warm=warm,
        latencies=latencies,
        quality=tuple(_quality_row(*names, c, period) for names, c in comparisons.items()),
        shown=shown,
        frames=frames,
        notes=tuple(notes),
    )


def _whole_chunks(clip: Clip, *, chunk_frames: int) -> list[Frames]:
    """Return the clip's first whole chunks, as many as `TIMED_CHUNKS` and `TIMED_BYTES` allow."""
    whole: list[Frames] = []
    with contextlib.closing(parts(clip, chunk_frames=chunk_frames)) as chunks:
        for chunk in itertools.islice(chunks, TIMED_CHUNKS):
            full = whole and (len(whole) + 1) * chunk.nbytes > TIMED_BYTES
            if full or len(chunk) < chunk_frames:
                break
            whole.append(chunk)
    if not whole:
        raise InputError(
            f"{clip.path}: fewer than the {chunk_frames} frames of one chunk; give a longer clip"
        )
    return whole


def _compare(
    codecs: Mapping[str, AnyCodec], plan: Plan, progress: Progress, *, shown_subject: str
) -> tuple[dict[tuple[str, str], Comparison], tuple[Shown, ...], list[str]]:
    """Return the comparisons, the frames for the picture, and the video reader's notes."""
    shown: tuple[Shown, ...] = ()
    done, notes = 0, list[str]()

    def keep(source: Frames, made: Mapping[str, Frames]) -> None:
        nonlocal shown, done
        shown = pick_shown(shown, source, made[shown_subject], first_index=done)
        done += len(source)
        progress("compare", done, plan.clip.max_frames)

    chunks = parts(plan.clip, chunk_frames=codecs[shown_subject].chunk_frames, notes=notes)
    baseline = BASELINE if BASELINE in codecs else None
    comparisons = compare_subjects(
        codecs, chunks, baseline=baseline, workers=plan.threads, on_chunk=keep
    )
    return comparisons, shown, notes


def _quality_row(
    subject: str, reference: str, comparison: Comparison, chunk_frames: int
) -> QualityRow:
    apart = None if reference == SOURCE else comparison.latents_max_difference
    return QualityRow(
        subject=subject,
        against=reference,
        quality=comparison.quality(chunk_frames=chunk_frames),
        latents_max_difference=apart,
        nonfinite_latents=0,  # compare_subjects stops at the first
    )


def _result(
    plan: Plan,
    environment: Environment,
    model: ModelFacts,
    subjects: Sequence[Subject],
    measured: _Measured,
    processes: tuple[ProcessRow, ...],
) -> Result:
    size_px, warm, quality = measured.size_px, measured.warm, measured.quality
    latency = claims.latency_rows(subjects, measured.latencies, quality, size_px=size_px)
    doubts = claims.warnings(environment, warm, latency, processes, runtime=subjects[-1].name)
    return Result(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        created_utc=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        command=tuple(Path(word).name if Path(word).is_absolute() else word for word in sys.argv),
        environment=environment,
        model=model,
        clip=facts(
            plan.clip,
            size_px=size_px,
            timed_frames=measured.timed_frames,
            quality_frames=measured.frames,
        ),
        rounds=plan.rounds,
        warm_up_rounds=warm.rounds,
        seed=plan.seed,
        latency=latency,
        quality=quality,
        process=processes,
        warnings=(*measured.notes, *doubts),
    )
